"""Files of YAML as JSON. It needs PyYAML: apt-get install python3-yaml

    ls *.yaml | dqbridge run --child 'python3 yaml_to_json.py' to_json
"""

import json

import yaml

import dq


@dq.function
def to_json(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(yaml.safe_load(file), ensure_ascii=False, default=str)
    except yaml.YAMLError as wrong:
        raise dq.Permanent(" ".join(str(wrong).split())) from wrong


dq.serve()
