"""The examples run as a user runs them: python3 -m unittest discover clients/examples"""

import os
import pathlib
import subprocess
import tempfile
import unittest

HERE = pathlib.Path(__file__).parent
ENVIRONMENT = dict(os.environ, PYTHONPATH=str(HERE.parent / "python"), PYTHONDONTWRITEBYTECODE="1")


class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        cls.program = str(pathlib.Path(cls.dir.name) / "dqbridge")
        subprocess.run(["go", "build", "-o", cls.program, "./cmd/dqbridge"], cwd=HERE.parent.parent, check=True)

    def run_child(self, child, function, *items):
        done = subprocess.run(
            [self.program, "run", "--errors", "inline", "--child", child, function],
            input="".join(item + "\n" for item in items), cwd=HERE, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        return done.stdout.splitlines()

    def test_yaml(self):
        good, bad = pathlib.Path(self.dir.name) / "good.yaml", pathlib.Path(self.dir.name) / "bad.yaml"
        good.write_text("name: é\nparts: [1, 2]\n", encoding="utf-8")
        bad.write_text("[", encoding="utf-8")
        first, second, third = self.run_child("python3 yaml_to_json.py", "to_json", str(good), str(bad), "/nowhere.yaml")
        self.assertEqual(first, '{"name": "é", "parts": [1, 2]}')
        self.assertIn("line 2: to_json: while parsing", second)
        self.assertIn("line 3: to_json: FileNotFoundError", third)

    def test_slugs(self):
        got = self.run_child("node slugs.mjs", "slug", "Crème brûlée, for two!", "***", "a")
        self.assertEqual((got[0], got[2]), ("creme-brulee-for-two", "a"))
        self.assertIn("nothing of it is left", got[1])


if __name__ == "__main__":
    unittest.main()
