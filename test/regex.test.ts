import assert from "node:assert/strict";
import { test } from "mocha";
import { REGEX_CHARS_MAX, regexProblem } from "../src/regex.ts";

for (const text of [
  "/api/v[0-9]+(/.*)?",
  "(?i)beta",
  "a{1,90}",
  "[[:alpha:]]\\pL",
  "\\Qa.b\\E",
  "é",
  "(?P<x>a)",
  "\\x{ff}",
])
  test(`proxies take the regular expression ${text}`, () => {
    assert.equal(regexProblem(text), undefined);
    assert.equal(regexProblem(text), undefined, "the second time it is remembered");
  });

for (const [text, problem] of [
  ["", /is empty/],
  ["(?=a)b", /^is "\(\?=a\)b", which is no RE2 regular expression: /],
  ["(?<!a)b", /no RE2 regular expression/],
  ["(a)\\1", /no RE2 regular expression/],
  ["[", /missing closing/],
  ["a**", /no RE2 regular expression/],
  ["(a{100}){100}", /no RE2 regular expression/],
  ["((a{10}){10}){10}", /too complex/],
  ["\\x{10FFFF}", /proxies do not know/],
  ["\\p{LC}", /proxies do not know/],
  ["a".repeat(REGEX_CHARS_MAX + 1), /^is a regular expression of 1025 characters; at most 1024/],
] as const)
  test(`proxies do not get the regular expression ${JSON.stringify(text.slice(0, 20))}`, () => {
    assert.match(regexProblem(text) ?? "", problem);
    assert.match(regexProblem(text) ?? "", problem, "the second time it is remembered");
  });
