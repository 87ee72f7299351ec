import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../src/errors.ts";
import { parseJwtRule } from "../src/jwt-rule.ts";

const rule = { issuer: "https://issuer.test", audiences: ["istio-ca"] };

test("a rule is read in the words of Istio's JWTRule, with either spelling", () => {
  const url = "https://issuer.test/keys";
  const keys = { kind: "url", url };
  assert.deepEqual(parseJwtRule({ ...rule, jwksUri: url }, "rule"), { ...rule, keys });
  assert.deepEqual(parseJwtRule({ ...rule, jwks_uri: url }, "rule"), { ...rule, keys });
  assert.deepEqual(parseJwtRule(rule, "rule"), { ...rule, keys: { kind: "discovery" } });
  const key = { kty: "RSA", n: "AQ", e: "AQAB" };
  const set = { kind: "set", keys: [key] };
  assert.deepEqual(parseJwtRule({ ...rule, issuer: "billing", jwks: { keys: [key] } }, "rule").keys, set);
  assert.deepEqual(parseJwtRule({ ...rule, jwks: JSON.stringify({ keys: [key] }) }, "rule").keys, set);
});

test("a rule that cannot be is refused with the field and what would be right", () => {
  const wrong: readonly (readonly [unknown, string, RegExp])[] = [
    ["https://issuer.test", "rule", /^must be a map/],
    [{ ...rule, issuer: "" }, "rule.issuer", /^is missing/],
    [{ issuer: "https://issuer.test" }, "rule.audiences", /at least one audience/],
    [{ ...rule, audiences: [] }, "rule.audiences", /at least one audience/],
    [{ ...rule, audiences: "istio-ca" }, "rule.audiences", /must be a list/],
    [{ ...rule, jwksUri: "http://issuer.test/keys" }, "rule.jwksUri", /begins with https/],
    [{ ...rule, jwksUri: "https://user:secret@issuer.test" }, "rule.jwksUri", /begins with https/],
    [{ ...rule, issuer: "billing" }, "rule", /neither jwksUri nor jwks/],
    [{ ...rule, jwksUri: "https://a", jwks: "{}" }, "rule", /both jwksUri and jwks/],
    [{ ...rule, jwks: "{" }, "rule.jwks", /is no JSON/],
    [{ ...rule, jwks: "{}" }, "rule.jwks", /must be a JSON Web Key Set/],
    [{ ...rule, jwks: { keys: [{ kty: "RSA", d: "AQ" }] } }, "rule.jwks", /holds a secret key/],
    [{ ...rule, forwardOriginalToken: true }, "rule.forwardOriginalToken", /is not read here/],
  ];
  for (const [value, field, message] of wrong)
    assert.throws(
      () => parseJwtRule(value, "rule"),
      (error) => {
        assert.ok(error instanceof MeshError && error.code === "invalid");
        assert.equal(error.detail["field"], field);
        assert.match(error.message, message);
        return true;
      },
    );
});
