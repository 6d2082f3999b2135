"""What is said when a row is larger than a record may be."""

from harness.ending import HALTED, ended
from harness.task import ROW_CANARY, Task, ids_of

LIMIT = 100_000


def test_a_record_over_the_limit_halts_before_anything_of_its_transaction(task: Task):
    task.sql("CREATE TABLE notes (id INT PRIMARY KEY, note MEDIUMTEXT)")
    connector = task.connector(limits={"record_bytes_max": LIMIT, "batch_bytes_max": 4096}).start(ready_within=30)
    task.sql("INSERT INTO notes VALUES (1, 'a')")
    task.read("notes", 1)
    rows = ", ".join(f"({number}, '{'-' * 1000}')" for number in range(2, 50))
    large = ROW_CANARY + "-" * LIMIT
    with task.connect(autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO notes VALUES {rows}")
        cursor.execute("INSERT INTO notes VALUES (50, %s)", (large,))
        connection.commit()
    error, remedy = ended(connector, HALTED, f"{task.database}.notes", str(LIMIT))
    assert "limits.record_bytes_max" in remedy and "max.message.bytes" in remedy
    assert ids_of(task.read("notes", 1)) == [1]
    # As the remedy says; the topic takes larger records than this by what its records have around them only.
    larger = task.connector("larger", limits={"record_bytes_max": LIMIT + 1000}).start(ready_within=30)
    assert ids_of(task.read("notes", 50)) == list(range(1, 51))
    larger.check_running()
