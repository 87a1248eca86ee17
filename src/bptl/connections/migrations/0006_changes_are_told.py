"""Polling lines are told when what they fetch by has changed, whoever changed it (``tasks.listening.FETCH_CHANNEL``)."""

from __future__ import annotations

from django.db import migrations

TABLES = ("connections_engine", "connections_mapping", "connections_mappingservice", "connections_service")

TELL = """
CREATE FUNCTION connections_tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('bptl_fetch', '');
    RETURN NULL;
END
$$;
""" + "".join(
    f"""
CREATE TRIGGER tell_change AFTER INSERT OR UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION connections_tell_change();
"""
    for table in TABLES
)

STOP = "".join(f"DROP TRIGGER tell_change ON {table};" for table in TABLES) + "DROP FUNCTION connections_tell_change();"


class Migration(migrations.Migration):
    dependencies = [("connections", "0005_mail_templates")]

    operations = [migrations.RunSQL(TELL, STOP)]
