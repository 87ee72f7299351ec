import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "mocha";
import { common, simplified } from "../../src/manager/tenancy/patterns.ts";
import { matchesPattern } from "../../src/registry/model/peer-grant.ts";
import { FUZZ_MS, fuzzing } from "../kits/fuzz.ts";

const patternOf = fc.stringMatching(/^[ab*]{1,6}$/);
const list = fc.array(patternOf, { maxLength: 3 });
/** Every text of a and b, and of a letter that no pattern has, up to six of them. */
const TEXTS = Array.from({ length: 6 }).reduce<readonly string[]>(
  (texts) => [...new Set([...texts, ...texts.flatMap((text) => ["a", "b", "x"].map((letter) => text + letter))])],
  [""],
);
const fits = (patterns: readonly string[], text: string): boolean =>
  patterns.some((each) => matchesPattern(each, text));

test("what patterns have in common is said by patterns", () => {
  for (const [one, other, both] of [
    ["shop-*", "*", ["shop-*"]],
    ["shop-*", "*-eu", ["shop-*-eu", "shop-eu"]],
    ["shop", "sh*", ["shop"]],
    ["shop", "bank", []],
    ["shop-*", "bank-*", []],
    ["*a*", "*b*", ["*a*b*", "*b*a*"]],
    ["*ab*", "*ba*", ["*ab*ba*", "*aba*", "*ba*ab*", "*bab*"]],
    ["**", "a**b", ["a*b"]],
  ] as const) {
    assert.deepEqual(common([one], [other]), both, `${one} ${other}`);
    assert.deepEqual(common([other], [one]), both, `${other} ${one}`);
  }
});

test("what is said twice, or by a wider pattern, is said once", () => {
  assert.deepEqual(simplified(["b", "shop-eu", "shop-*", "shop-**", "b"]), ["b", "shop-*"]);
  assert.deepEqual(simplified(["*", "a", "b*"]), ["*"]);
});

test("whatever the lists, what they have in common is what both take in, and simpler ones take in the same", () => {
  fc.assert(
    fc.property(list, list, (some, others) => {
      const [both, simple] = [common(some, others)!, simplified(some)];
      for (const text of TEXTS) {
        assert.equal(fits(both, text), fits(some, text) && fits(others, text), `${JSON.stringify(both)} ${text}`);
        assert.equal(fits(simple, text), fits(some, text), text);
      }
    }),
    fuzzing(300) as fc.Parameters<[string[], string[]]>,
  );
}).timeout(FUZZ_MS);

test("patterns of many stars that have too much in common are not said, soon", () => {
  assert.equal(common(["*a*b*c*d*e*f*g*h*"], ["*s*t*u*v*w*x*y*z*"]), undefined);
});
