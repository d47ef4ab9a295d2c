"""What the database refuses: keys and requests do not go, and what was asked for or answered does not change."""

from django.db import migrations

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_groups")]
    operations = [
        InstallGuards("accounts_desk", guards=[no_delete()]),
        InstallGuards(
            "accounts_apikey",
            guards=[
                no_delete(),
                frozen_columns("owner_id", "prefix", "secret_hash", "scopes", "expires_at", "created_at"),
                frozen_columns("revoked_at", when='OLD."revoked_at" IS NOT NULL', name="revoked_for_good"),
            ],
        ),
        InstallGuards(
            "accounts_idempotencyrecord",
            guards=[frozen_columns("principal", "key", "fingerprint", "status", "body", "created_at")],
        ),
        InstallGuards(
            "accounts_secondpersonrequest",
            guards=[
                no_delete(),
                frozen_columns(
                    "kind", "subject", "digest", "summary", "roles", "requester_id", "requested_at", "expires_at"
                ),
                frozen_columns("seconder_id", "seconded_at", when='OLD."seconder_id" IS NOT NULL', name="seconder"),
                transitions(
                    "state",
                    [
                        ("OPEN", "SECONDED"),
                        ("OPEN", "EXPIRED"),
                        ("OPEN", "WITHDRAWN"),
                        ("SECONDED", "USED"),
                        ("SECONDED", "EXPIRED"),
                        ("SECONDED", "WITHDRAWN"),
                    ],
                    initial=["OPEN"],
                ),
            ],
        ),
    ]
