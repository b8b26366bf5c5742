"""Tables in a PostgreSQL server, a second home beside the lake.

Belongs here: writing frames of declared tables to PostgreSQL and comparing them with what is
there (`sink.PostgresSink`). Does not belong here: any domain, the decision what is written when.

The driver (psycopg) is an extra of the package and is imported when a sink is opened.
"""
