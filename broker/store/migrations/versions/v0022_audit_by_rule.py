"""Records of the audit, by the rule that decided."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_HAS_RULE = sa.text("rule <> ''")


def upgrade() -> None:
    """Make the index."""
    op.create_index(
        "audit_records_by_rule",
        "audit_records",
        ["rule", "at", "sequence"],
        sqlite_where=_HAS_RULE,
        postgresql_where=_HAS_RULE,
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_index("audit_records_by_rule", "audit_records")
