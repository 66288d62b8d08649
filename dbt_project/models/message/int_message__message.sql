-- A message (wamid) once in its portfolio, from whatever shows it: inbound, echo, history or only its statuses, under
-- whichever of its WABAs. What shows no id is evidence of who wrote, but no message: nothing could tell it from another.
with

sightings as not materialized (

    select * from {{ ref('int_identity__sighting') }}
    where observation_kind in ('message', 'echo', 'history', 'status') and message_id is not null

),

-- Messages whose sender is the business's own number are the business's.
shown as (

    select
        *,
        case observation_kind when 'message' then 1 when 'echo' then 2 else 3 end as precedence
    from sightings
    where observation_kind <> 'status' and coalesce(item_type, '') not in ('edit', 'revoke')

),

first_shown as (

    select
        island_id,
        portfolio_id,
        message_id,
        waba_id,
        phone_number_id,
        occurred_at,
        source_field,
        item_type as message_type,
        if(is_from_business, 'outbound', 'inbound') as direction,
        is_group,
        reply_to_message_id,
        ctwa_clid
    from shown
    qualify
        row_number() over (
            partition by portfolio_id, message_id order by precedence, received_at, occurred_at, waba_id
        ) = 1

),

deliveries as (

    select
        portfolio_id,
        message_id,
        min(island_id) as island_id,
        min(waba_id) as waba_id,
        min(phone_number_id) as phone_number_id,
        min(occurred_at) as occurred_at,
        min(source_field) as source_field,
        bool_or(is_group) as is_group,
        min(occurred_at) filter (where item_type = 'sent') as sent_at,
        min(occurred_at) filter (where item_type = 'delivered') as delivered_at,
        min(occurred_at) filter (where item_type = 'read') as read_at,
        min(occurred_at) filter (where item_type = 'played') as played_at,
        min(occurred_at) filter (where item_type = 'failed') as failed_at,
        min(error_code) as error_code,
        min(pricing_category) as pricing_category,
        min(callback_data) as callback_data
    from sightings
    where observation_kind = 'status'
    group by portfolio_id, message_id

),

changed_later as (

    select
        portfolio_id,
        original_message_id as message_id,
        min(occurred_at) filter (where item_type = 'edit') as edited_at,
        min(occurred_at) filter (where item_type = 'revoke') as revoked_at
    from sightings
    where original_message_id is not null and item_type in ('edit', 'revoke')
    group by portfolio_id, original_message_id

),

joined as (

    select
        portfolio_id,
        message_id,
        coalesce(first_shown.island_id, deliveries.island_id) as island_id,
        coalesce(first_shown.waba_id, deliveries.waba_id) as waba_id,
        coalesce(first_shown.phone_number_id, deliveries.phone_number_id) as phone_number_id,
        coalesce(first_shown.occurred_at, deliveries.occurred_at) as occurred_at,
        coalesce(first_shown.source_field, deliveries.source_field) as source_field,
        first_shown.message_type,
        first_shown.reply_to_message_id,
        coalesce(first_shown.direction, 'outbound') as direction,
        coalesce(first_shown.is_group, false) or coalesce(deliveries.is_group, false) as is_group,
        deliveries.sent_at,
        deliveries.delivered_at,
        deliveries.read_at,
        deliveries.played_at,
        deliveries.failed_at,
        deliveries.error_code,
        deliveries.pricing_category,
        deliveries.callback_data,
        first_shown.ctwa_clid
    from first_shown
    full outer join deliveries using (portfolio_id, message_id)

),

final as (

    select
        joined.*,
        changed_later.edited_at,
        changed_later.revoked_at
    from joined
    left join changed_later using (portfolio_id, message_id)

)

select * from final
