"""A writer process for the storm tests: publish steps until told to stop, and report what was put."""

import sys

from zenlib.records import Artifact, Run, Status, StepRun
from zenlib.stores.sql import SqlStore

OUTPUT = {"digest": "b3:0", "size_bytes": 1, "serializer": "json", "type": "int", "content": {}}
STEP = {"pipeline": "p", "step": "s", "status": "completed", "started_us": 1, "ended_us": 2}


def main(url, writer, count):
    print("ready", flush=True)
    sys.stdin.readline()
    store = SqlStore(url)
    current = Run(pipeline=writer, id=f"run-{writer}", started_us=0)
    store.put(current)
    for number in range(count):
        outputs = [Artifact(name=f"shared{n}", run_id=current.id, **OUTPUT) for n in range(2)]
        store.put(StepRun(run_id=current.id, node=str(number), **STEP), *outputs)
        if number % 10 == 9:
            changed = current.next(started_us=number)
            store.put(changed)
            current = changed
        print(number, flush=True)
    store.put(current.next(status=Status.COMPLETED))
    store.close()
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
