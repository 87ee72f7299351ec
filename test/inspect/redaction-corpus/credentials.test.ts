import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { test } from "mocha";
import { stringify } from "yaml";
import { Redactor } from "../../../src/inspect/redact/redactor.ts";
import { newToken } from "../../../src/relay/token.ts";
import type { ClusterId } from "../../../src/names.ts";
import { survivors } from "./survivors.ts";

const random = (bytes: number): string => randomBytes(bytes).toString("hex");
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function jwt(): string {
  const body = `${part({ alg: "HS256", kid: random(8) })}.${part({ sub: "system:serviceaccount:shop:cart", jti: random(8) })}`;
  return `${body}.${createHmac("sha256", random(8)).update(body).digest("base64url")}`;
}

const bootstrapToken = (): string =>
  newToken(
    { next: Math.random, bytes: (length) => randomBytes(length) },
    { cluster: "east" as ClusterId, rootSha256: random(32) as never, expiresAt: 1_800_000_000_000 },
  ).text;

/** Texts in which something secret is said, as people and programs write it. */
const TEXTS: Readonly<Record<string, (secret: string) => string>> = {
  "an Authorization header": (secret) => `> GET / HTTP/1.1\r\n> Authorization: Bearer ${secret}\r\n> Accept: */*\r\n`,
  "an Authorization header with a name and a password": (secret) =>
    `authorization: Basic ${Buffer.from(`admin:${secret}`).toString("base64")}\n`,
  "an Authorization header of Go": (secret) => `map[Accept:[*/*] Authorization:[Bearer ${secret}]]`,
  "an Authorization header in JSON": (secret) => JSON.stringify({ headers: { authorization: `Bearer ${secret}` } }),
  "headers as a list": (secret) => JSON.stringify([{ name: "Authorization", value: secret }]),
  "a cookie": (secret) => `Set-Cookie: session=${secret}; HttpOnly`,
  "X-Vault-Token": (secret) => `X-Vault-Token: ${secret}`,
  "a URL": (secret) => `dialing https://istio:${encodeURIComponent(secret)}@registry.example.com/v2/: refused`,
  "a URL of a database": (secret) =>
    `postgres://app:${encodeURIComponent(secret)}@db.shop.svc:5432/cart?sslmode=require`,
  "the query of a URL": (secret) => `GET /hook?a=1&access_token=${encodeURIComponent(secret)}&b=2 HTTP/1.1`,
  "an environment variable": (secret) => `DB_PASSWORD=${secret}\nHOME=/root\n`,
  "an exported variable": (secret) => `export AWS_SECRET_ACCESS_KEY="${secret}"`,
  "a flag": (secret) => `starting: pilot --api-token ${secret} --verbose`,
  "a flag with =": (secret) => `starting: pilot --client-secret=${secret} --verbose`,
  "a flag in a list": (secret) => JSON.stringify({ args: ["--password", secret, "--verbose"] }),
  YAML: (secret) => `users:\n- name: admin\n  user:\n    token: ${secret}\n    other: 1\n`,
  "YAML in quotes": (secret) => `password: '${secret}'\nname: cart\n`,
  "a block of YAML": (secret) => `spec:\n  clientSecret: |\n    ${secret}\n  name: cart\n`,
  JSON: (secret) => `{"name":"cart","apiKey":"${secret}","n":1}`,
  "JSON inside of JSON": (secret) => JSON.stringify({ body: JSON.stringify({ refresh_token: secret, n: 1 }) }),
  "JSON inside of a line of a log": (secret) => `got ${JSON.stringify(JSON.stringify({ id_token: secret }))} from peer`,
  "JSON that was cut off": (secret) => `{"a":1,"password":"${secret}","rest":{"b":`,
  "a log of pairs": (secret) => `2026-11-22T01:02:03Z\tinfo\tca\tlogged in\tpassword=${secret}\tuser=admin\n`,
  "a log line": (secret) => `login failed for password: ${secret}, trying again`,
  TOML: (secret) => `[auth]\nsecret_key = "${secret}"\n`,
  "an entry of metrics": (secret) => `up{instance="a",auth_token="${secret}"} 1\n`,
  "base64 of YAML": (secret) => `data: ${Buffer.from(`user:\n  token: ${secret}\n`).toString("base64")}`,
  "base64 of base64 of JSON": (secret) =>
    Buffer.from(Buffer.from(JSON.stringify({ token: secret })).toString("base64")).toString("base64"),
  "a URL in a URL": (secret) => `/go?to=${encodeURIComponent(`https://x/?token=${secret}`)}`,
};

for (const [where, write] of Object.entries(TEXTS))
  test(`a secret in ${where} is taken out`, () => {
    for (const secret of [random(12), `pW-${random(5)}!${random(3)}`, randomBytes(24).toString("base64url")]) {
      const written = write(secret);
      const redactor = new Redactor();
      for (const redacted of [redactor.text(written), JSON.stringify(redactor.value({ said: written }))])
        assert.deepEqual(survivors(redacted, secret), [], `${written}\n${redacted}`);
    }
  });

const TOKENS: Readonly<Record<string, () => string>> = {
  "a service account's token": jwt,
  "a service account's token that was cut off": () => jwt().slice(0, 90),
  "a bootstrap token of the relay": bootstrapToken,
  "a bootstrap token of Kubernetes": () => `${random(3)}.${random(8)}`,
  "an access key of AWS": () => `AKIA${random(8).toUpperCase()}`,
  "a token of Vault": () => `hvs.${randomBytes(24).toString("base64url")}`,
  "a token of GitHub": () => `ghp_${random(18)}`,
};

for (const [what, make] of Object.entries(TOKENS))
  test(`${what} is known by its shape, wherever it stands`, () => {
    const token = make();
    for (const text of [
      token,
      `got "${token}" from 10.0.0.1`,
      JSON.stringify({ a: [token] }),
      `x=${token}\n`,
      `(${token})`,
    ])
      assert.deepEqual(survivors(new Redactor().text(text), token), [], text);
  });

/** A kubeconfig as a remote secret has it. */
const kubeconfig = (secrets: readonly string[]) => ({
  apiVersion: "v1",
  kind: "Config",
  clusters: [{ name: "east", cluster: { server: "https://10.0.0.1:6443" } }],
  users: [
    { name: "a", user: { token: secrets[0] } },
    { name: "b", user: { "client-key-data": Buffer.from(secrets[1]!).toString("base64") } },
    { name: "c", user: { username: "admin", password: secrets[2] } },
    { name: "d", user: { "auth-provider": { name: "oidc", config: { "id-token": secrets[3] } } } },
    { name: "e", user: { exec: { command: "login", env: [{ name: "LOGIN_TOKEN", value: secrets[4] }] } } },
  ],
});

test("objects lose their secrets: data, last-applied-configuration, kubeconfigs, variables, arguments", () => {
  const secrets = Array.from({ length: 9 }, () => random(10));
  const inKubeconfig = Array.from({ length: 5 }, () => random(10));
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "remote", namespace: "istio-system", uid: "8f14e45f-ceea-467f-a8b1-6d2b0a4c0f11" },
    data: { east: Buffer.from(stringify(kubeconfig(inKubeconfig))).toString("base64"), plain: secrets[0] },
    stringData: { other: secrets[1] },
  };
  const applied = { "kubectl.kubernetes.io/last-applied-configuration": JSON.stringify(secret) };
  const objects = [
    { ...secret, metadata: { ...secret.metadata, annotations: applied } },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "c", annotations: applied },
      data: { "kube.yaml": stringify(kubeconfig(inKubeconfig)) },
    },
    {
      kind: "Pod",
      spec: {
        containers: [
          {
            name: "x",
            env: [
              { name: "DB_PASSWORD", value: secrets[2] },
              { name: "MODE", value: "fast" },
            ],
            args: ["--token", secrets[3], `--key=a`, `--api-key=${secrets[4]}`],
          },
        ],
      },
    },
    { kind: "List", items: [secret, { kind: "ConfigMap", data: { manifest: stringify(secret) } }] },
    {
      kind: "Deployment",
      spec: { template: { metadata: { annotations: { note: `see https://u:${secrets[5]}@host/x` } } } },
    },
  ];
  const redactor = new Redactor();
  const first = objects.map((object) => stringify(redactor.value(object)));
  const log = `retry with ${secrets[0]} and ${Buffer.from(secrets[2]!).toString("base64")} and %7B${secrets[1]}`;
  const redacted = [...first, redactor.text(log)].map((text) => redactor.sweep(text)).join("\n---\n");
  for (const each of [...secrets.slice(0, 6), ...inKubeconfig])
    assert.deepEqual(survivors(redacted, each), [], redacted);
  for (const kept of [
    "remote",
    "istio-system",
    "8f14e45f-ceea-467f-a8b1-6d2b0a4c0f11",
    "fast",
    "https://10.0.0.1:6443",
    "DB_PASSWORD",
    "kube.yaml",
  ])
    assert.ok(redacted.includes(kept), `${kept} is gone:\n${redacted}`);
});
