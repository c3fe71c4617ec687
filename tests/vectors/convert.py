#!/usr/bin/env python3
"""Turns test vectors of the Wycheproof project (C2SP/wycheproof, testvectors_v1, Apache License
2.0) into lines that the unit tests read: the named fields in hexadecimal, separated by blanks, "-"
for an empty one, then the result.

usage: convert.py FILE.json MOST FIELD... > FILE.txt     (MOST: of each group and result)
"""
import collections
import json
import sys

path, most, fields = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
document = json.load(open(path))
print(f"# {path.split('/')[-1]} of C2SP/wycheproof, testvectors_v1 (Apache License 2.0)")
print("# " + " ".join(fields + ["result"]))
for group in document["testGroups"]:
    taken = collections.Counter()
    for test in group["tests"]:
        taken[test["result"]] += 1
        if taken[test["result"]] <= most:
            print(" ".join([test.get(field) or "-" for field in fields] + [test["result"]]))
