-- R1, R10: the customer of every node, under the key of the customer's earliest observation.
with

nodes as (

    select * from {{ ref('int_identity__node') }}

),

links as (

    select * from {{ ref('int_identity__link') }}

),

-- Customers are the connected components over links; each is named by its smallest node.
clusters as (

    {{ connected_components('links', ['portfolio_id'], 'left_node_id', 'right_node_id') }}

),

clustered as (

    select
        nodes.*,
        coalesce(clusters.label_id, nodes.node_id) as cluster_id
    from nodes
    left join clusters
        on nodes.portfolio_id = clusters.portfolio_id
        and nodes.node_id = clusters.node_id

),

keys as (

    select
        portfolio_id,
        cluster_id,
        arg_min(
            {
                'received_at': first_received_at,
                'event_id': first_event_id,
                'waba_id': first_waba_id,
                'identifier': identifier_value
            },
            (first_received_at, first_event_id, identifier_value)
        ) as key_observation
    from clustered
    group by all

),

final as (

    select
        clustered.island_id,
        clustered.portfolio_id,
        clustered.node_id,
        clustered.node_kind,
        clustered.identifier_value,
        clustered.first_seen_at,
        clustered.last_seen_at,
        clustered.observation_count,
        clustered.first_event_id,
        md5(concat_ws(
            '|',
            strftime(keys.key_observation.received_at, '%Y-%m-%dT%H:%M:%S.%f'),
            keys.key_observation.event_id,
            keys.key_observation.waba_id,
            keys.key_observation.identifier
        )) as customer_key,
        keys.key_observation.received_at as key_received_at,
        keys.key_observation.event_id as key_event_id,
        keys.key_observation.waba_id as key_waba_id,
        keys.key_observation.identifier as key_identifier
    from clustered
    inner join keys using (portfolio_id, cluster_id)

)

select * from final
