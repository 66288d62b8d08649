-- Open questions for a person, each with both sides, the evidence and what to answer.
with

customer_questions as (

    select * from {{ ref('int_identity__question') }}

),

account_questions as (

    select * from {{ ref('int_identity__account_question') }}

),

customer_nodes as (

    select * from {{ ref('int_identity__resolved_node') }}
    {{- unless_quarantined() }}

),

quarantine as (

    select * from {{ ref('int_customer__quarantine') }}

),

quarantine_questions as (

    select
        portfolio_id,
        'quarantined' as kind,
        identifier_type as left_type,
        identifier_value as left_value,
        problem as subject,
        event_id as evidence_event_id,
        evidence_at as first_seen_at,
        evidence_at as last_seen_at,
        1.0 as score,
        1 as occurrence_count,
        landing_file as evidence_landing_file,
        line_number as evidence_line_number
    from quarantine

),

questions as (

    select * exclude (island_id) from customer_questions
    union all by name
    select * from quarantine_questions
    union all by name
    select
        * exclude (occurrence_count),
        null::timestamp as left_at,
        null::timestamp as right_at,
        occurrence_count
    from account_questions

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
        evidence_landing_file,
        evidence_line_number,
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
