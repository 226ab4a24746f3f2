"""The mechanism below the core: tables, engines, group commit, migrations. No business rule stands here."""
