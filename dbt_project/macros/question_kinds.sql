{#-
    What the rules leave to a person: each kind of question with what to answer, and the decision that an override row
    would bear; none where no override answers it.
-#}
{% macro question_kinds() -%}
    {{ return({
        'phone_two_bsuids': {
            'answer': 'leave split: the number has most likely a new owner', 'decision': 'must_link',
        },
        'flapping_phone': {
            'answer': 'check the portfolio mapping; must_link only if it is one person', 'decision': 'must_link',
        },
        'succession_fork': {
            'answer': 'must_link the right pair after asking the customer', 'decision': 'must_link',
        },
        'succession_cycle': {
            'answer': 'nothing to do unless two people are in it; then cannot_link', 'decision': 'cannot_link',
        },
        'late_succession': {
            'answer': 'must_link if the customer came to this number after so long', 'decision': 'must_link',
        },
        'body_text_only': {
            'answer': 'nothing to do unless these are two people; then cannot_link', 'decision': 'cannot_link',
        },
        'backfill_declined': {
            'answer': 'must_link if the history is this customer\'s', 'decision': 'must_link',
        },
        'possible_missed_rotation': {
            'answer': 'must_link: same name and username, old id silent', 'decision': 'must_link',
        },
        'attested_phone_taken': {'answer': 'must_link if both are one person', 'decision': 'must_link'},
        'bsuid_two_phones': {'answer': 'nothing to do unless it repeats'},
        'bsuid_in_two_portfolios': {'answer': 'put both WABAs in one portfolio in business_accounts.csv'},
        'portfolio_mapping_proposed': {'answer': 'add or correct the WABA in business_accounts.csv'},
        'unmapped_waba': {'answer': 'add the WABA to business_accounts.csv'},
        'malformed_identifier': {'answer': 'find the sender of this value'},
        'unrecognised_field': {'answer': 'look whether Meta documents it; nothing here reads it, and nothing of it is lost'},
        'override_problem': {'answer': 'correct or remove the override row'},
        'quarantined': {'answer': 'report it with the webhooks it names; nothing of it is published until it is mended'},
    }) }}
{%- endmacro %}
