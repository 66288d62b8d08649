-- Open questions for a person, each with both sides, the evidence and what to answer.
with

questions as (

    select * from {{ ref('int_identity__question') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__customer_node') }}

),

nodes_of_questions as (

    select
        questions.*,
        case questions.kind
            {%- for kind, words in question_kinds().items() if words.decision %}
            when '{{ kind }}' then '{{ words.decision }}'
            {%- endfor %}
        end as decision,
        left_node.customer_key as left_customer_key,
        right_node.customer_key as right_customer_key
    from questions
    left join customer_nodes as left_node
        on questions.portfolio_id = left_node.portfolio_id
        and left_node.node_id = case questions.left_type
            when 'bsuid' then {{ bsuid_node('questions.left_value') }}
            when 'phone' then {{ phone_node('questions.left_value', 'questions.left_at') }}
        end
    left join customer_nodes as right_node
        on questions.portfolio_id = right_node.portfolio_id
        and right_node.node_id = case questions.right_type
            when 'bsuid' then {{ bsuid_node('questions.right_value') }}
            when 'phone' then {{ phone_node('questions.right_value', 'questions.right_at') }}
        end

),

final as (

    select
        md5(concat_ws('|', portfolio_id, kind, left_type, left_value, left_at, right_type, right_value, right_at, subject))
            as review_id,
        portfolio_id,
        kind,
        left_type,
        left_value,
        left_at,
        left_customer_key,
        right_type,
        right_value,
        right_at,
        right_customer_key,
        subject,
        score::double as score,
        evidence_event_id,
        first_seen_at,
        last_seen_at,
        occurrence_count,
        case kind
            {%- for kind, words in question_kinds().items() %}
            when '{{ kind }}' then '{{ words.answer | replace("'", "''") }}'
            {%- endfor %}
        end as suggested_decision,
        case
            when decision is not null
                then concat_ws(
                    ',',
                    portfolio_id, left_type, left_value,
                    coalesce(strftime(left_at, '%Y-%m-%dT%H:%M:%S.%f'), ''),
                    right_type, right_value,
                    coalesce(strftime(right_at, '%Y-%m-%dT%H:%M:%S.%f'), ''),
                    decision,
                    '', '', '', ''
                )
        end as override_row
    from nodes_of_questions

)

select * from final
