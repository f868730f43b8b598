"""The rights of the service's login in SQL Server, as statements."""

from collections.abc import Iterator

from adapters.sql.logins import READ, ServiceLogin, rights

OF_THE_SERVER = """
SELECT 'is the administrator''s own' WHERE SUSER_SNAME() = ?
UNION ALL SELECT CONCAT('has the server role ', role.name) FROM sys.server_role_members AS membership
    JOIN sys.server_principals AS role ON role.principal_id = membership.role_principal_id
    JOIN sys.server_principals AS member ON member.principal_id = membership.member_principal_id
    WHERE member.name = ?
"""
OF_THE_DATABASE = """
SELECT 'owns the database' FROM sys.databases WHERE database_id = DB_ID() AND SUSER_SNAME(owner_sid) = ?
UNION ALL SELECT CONCAT('has the database role ', role.name) FROM sys.database_role_members AS membership
    JOIN sys.database_principals AS role ON role.principal_id = membership.role_principal_id
    JOIN sys.database_principals AS member ON member.principal_id = membership.member_principal_id
    WHERE member.name = ?
UNION ALL SELECT CONCAT('has the right ', permission_name) FROM sys.database_permissions
    WHERE grantee_principal_id = DATABASE_PRINCIPAL_ID(?) AND state IN ('G', 'W')
        AND NOT (class = 0 AND permission_name = 'CONNECT')
        AND NOT (class = 1 AND permission_name IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))
"""
"""Why a login, or its user in the database, is unfit for the service."""


def statements(login: ServiceLogin) -> Iterator[str]:
    user = quoted(login.name)
    for table, allowed in rights().items():
        yield f"GRANT {', '.join(allowed)} ON {_in_dbo(table)} TO {user}"
        if allowed == READ:
            yield f"REVOKE INSERT, UPDATE, DELETE ON {_in_dbo(table)} FROM {user}"


def quoted(name: str) -> str:
    return f"[{name.replace(']', ']]')}]"


def text(value: str) -> str:
    """A literal: statements that make logins take no parameters."""
    return "N'" + value.replace("'", "''") + "'"


def _in_dbo(table: str) -> str:
    return f"dbo.{quoted(table)}"
