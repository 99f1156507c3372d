"""Access: principals, grants, API keys, and the rules themselves."""

from affidavit.areas.access import commands as c
from affidavit.areas.access import events as e
from affidavit.areas.access import rules as r
from affidavit.areas.access import view as v
from affidavit.core.area import Area

AREA = Area(
    name="access",
    summary="principals, grants, API keys, rules",
    facts=(
        e.PrincipalRegistered, e.GrantRequested, e.GrantApproved, e.GrantRevoked, e.KeyIssued, e.KeyRevoked,
        e.RulesProposed, e.RulesAdopted,
    ),
    commands={
        c.RegisterPrincipal: r.register_principal,
        c.RequestGrant: r.request_grant,
        c.ApproveGrant: r.approve_grant,
        c.RevokeGrant: r.revoke_grant,
        c.RecordKey: r.record_key,
        c.RevokeKey: r.revoke_key,
        c.ProposeRules: r.propose_rules,
        c.AdoptRules: r.adopt_rules,
    },
    queries={c.WhoCan: r.who_can, c.ShowRules: r.show_rules, c.ListGrants: r.list_grants, c.ListPrincipals: r.list_principals},
    measures={c.IssueKey: "affidavit.areas.access.measure:issue_key"},
    answers={
        "principal": v.principal,
        "roles_of": v.roles_of,
        "key": v.key,
        "principal_named": v.principal_named,
        "rules_in_force": v.rules_in_force,
        "holders": v.holders,
    },
    view=v.VIEW,
)  # fmt: skip
