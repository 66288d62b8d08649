-- Open questions for a person, each with both sides, the evidence and what to answer.
with

customer_questions as (

    select * from {{ ref('int_identity__question') }}

),

account_questions as (

    select * from {{ ref('int_identity__account_question') }}

),

customer_nodes as (

    select * from {{ ref('int_customer__node') }}
    {{- unless_quarantined() }}

),

quarantine as (

    select * from {{ ref('int_identity__quarantine') }}

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
            when 'phone_two_bsuids' then 'leave split: the number has most likely a new owner'
            when 'flapping_phone' then 'check the portfolio mapping; must_link only if it is one person'
            when 'succession_fork' then 'must_link the right pair after asking the customer'
            when 'succession_cycle' then 'nothing to do unless two people are in it; then cannot_link'
            when 'backfill_declined' then 'must_link if the history is this customer''s'
            when 'possible_missed_rotation' then 'must_link: same name and username, old id silent'
            when 'attested_phone_taken' then 'must_link if both are one person'
            when 'bsuid_two_phones' then 'nothing to do unless it repeats'
            when 'bsuid_in_two_portfolios' then 'put both WABAs in one portfolio in business_accounts.csv'
            when 'portfolio_mapping_proposed' then 'add or correct the WABA in business_accounts.csv'
            when 'unmapped_waba' then 'add the WABA to business_accounts.csv'
            when 'malformed_identifier' then 'find the sender of this value'
            when 'override_problem' then 'correct or remove the override row'
            when 'quarantined' then 'report it with the webhooks it names; nothing of it is published until it is mended'
        end as suggested_decision,
        case
            when
                kind in (
                    'phone_two_bsuids', 'flapping_phone', 'succession_fork', 'backfill_declined',
                    'possible_missed_rotation', 'attested_phone_taken', 'succession_cycle'
                )
                then concat_ws(
                    ',',
                    portfolio_id, left_type, left_value,
                    coalesce(strftime(left_at, '%Y-%m-%dT%H:%M:%S.%f'), ''),
                    right_type, right_value,
                    coalesce(strftime(right_at, '%Y-%m-%dT%H:%M:%S.%f'), ''),
                    if(kind = 'succession_cycle', 'cannot_link', 'must_link'),
                    '', '', '', ''
                )
        end as override_row
    from nodes_of_questions

)

select * from final
