import assert from "node:assert/strict";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import { INSECURE_KUBECONFIG_OPTIONS } from "../../src/insecure-kubeconfig.ts";
import { readKubeconfig } from "../../src/kube/kubeconfig.ts";
import { TestAuthority } from "../kits/tls.ts";

const authority = await TestAuthority.create();
const pair = await authority.issue();
const otherPair = await authority.issue();
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const CA = base64(authority.root);

interface Parts {
  readonly server?: string;
  readonly cluster?: string;
  readonly user?: string;
}

/** A kubeconfig of one context; `cluster` and `user` are fields in flow style. */
function kubeconfig({
  server = "https://10.0.0.1:6443",
  cluster = `certificate-authority-data: ${CA}`,
  user = "token: abc",
}: Parts): string {
  return [
    "apiVersion: v1",
    "kind: Config",
    "clusters:",
    `- {name: east, cluster: {server: "${server}", ${cluster}}}`,
    "users:",
    `- {name: reader, user: {${user}}}`,
    "contexts:",
    "- {name: main, context: {cluster: east, user: reader}}",
    "current-context: main",
  ].join("\n");
}

const untrusted = (text: string, ...allowed: string[]) =>
  readKubeconfig(text, { trusted: false, allowed: new Set(allowed) });
const trusted = (text: string, context?: string) =>
  readKubeconfig(text, { trusted: true, baseDir: "/home/ann/.kube", context });

function refusalOf(read: () => unknown): MeshError {
  try {
    read();
  } catch (thrown) {
    assert.ok(thrown instanceof MeshError, String(thrown));
    return thrown;
  }
  return assert.fail("it was not refused");
}

test("a kubeconfig with a token is read whole", () => {
  const cluster = `certificate-authority-data: ${CA}, tls-server-name: api.east`;
  assert.deepEqual(untrusted(kubeconfig({ cluster })), {
    server: "https://10.0.0.1:6443",
    ca: { text: authority.root },
    insecureSkipTlsVerify: false,
    tlsServerName: "api.east",
    user: { login: { kind: "token", token: { text: "abc" } } },
    refusedAddresses: ["loopback", "linkLocal"],
  });
});

const ACCEPTED: readonly (readonly [string, Parts, object])[] = [
  [
    "a username and password",
    { user: "username: ann, password: secret" },
    { login: { kind: "basic", username: "ann", password: "secret" } },
  ],
  ["nobody", { user: "" }, {}],
  [
    "a certificate and its key",
    { user: `client-certificate-data: ${base64(pair.certificate)}, client-key-data: ${base64(pair.key)}` },
    { certificate: { certificate: { text: pair.certificate }, key: { text: pair.key } } },
  ],
  [
    "an oidc token, which is not renewed",
    { user: "auth-provider: {name: oidc, config: {id-token: a.b.c, refresh-token: r, idp-issuer-url: 'https://idp'}}" },
    { login: { kind: "token", token: { text: "a.b.c" } } },
  ],
];
for (const [what, parts, user] of ACCEPTED)
  test(`somebody else's kubeconfig may show ${what}`, () => assert.deepEqual(untrusted(kubeconfig(parts)).user, user));

const ca = `certificate-authority-data: ${CA}`;
/** What is refused, the field that the refusal names, and the word that allows it. */
const INSECURE: readonly (readonly [Parts, string, string])[] = [
  [{ user: "exec: {apiVersion: client.authentication.k8s.io/v1, command: touch}" }, "users[0].user.exec", "exec"],
  [
    { user: "token: abc, exec: {apiVersion: client.authentication.k8s.io/v1, command: touch}" },
    "users[0].user.exec",
    "exec",
  ],
  [
    { user: `client-key: /etc/shadow, client-certificate-data: ${base64(pair.certificate)}` },
    "users[0].user.client-key",
    "clientKey",
  ],
  [
    { user: `client-certificate: /x, client-key-data: ${base64(pair.key)}` },
    "users[0].user.client-certificate",
    "clientCertificate",
  ],
  [{ user: "tokenFile: /etc/shadow" }, "users[0].user.tokenFile", "tokenFile"],
  [{ user: "token: abc, as: admin" }, "users[0].user.as", "impersonate"],
  [{ user: "token: abc, as: admin, as-groups: ['system:masters']" }, "users[0].user.as", "impersonate"],
  [
    { cluster: "certificate-authority: /etc/ssl/ca.crt" },
    "clusters[0].cluster.certificate-authority",
    "certificateAuthority",
  ],
  [
    { cluster: "insecure-skip-tls-verify: true" },
    "clusters[0].cluster.insecure-skip-tls-verify",
    "insecureSkipTlsVerify",
  ],
  [{ server: "http://10.0.0.1:8080", cluster: "" }, "clusters[0].cluster.server", "http"],
  [{ server: "https://127.0.0.1:2379" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://localhost" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://kube.LOCALHOST./" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://2130706433" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://0x7f.1" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://0.0.0.0" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://[::1]:6443" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://[::]" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://[::ffff:127.0.0.1]" }, "clusters[0].cluster.server", "loopback"],
  [{ server: "https://169.254.169.254" }, "clusters[0].cluster.server", "linkLocal"],
  [{ server: "https://[::ffff:169.254.169.254]" }, "clusters[0].cluster.server", "linkLocal"],
  [{ server: "https://[64:ff9b::a9fe:a9fe]" }, "clusters[0].cluster.server", "linkLocal"],
  [{ server: "https://[fe80::1]" }, "clusters[0].cluster.server", "linkLocal"],
  [{ server: "https://[fd00:ec2::254]" }, "clusters[0].cluster.server", "linkLocal"],
  [{ server: "https://metadata.google.internal" }, "clusters[0].cluster.server", "linkLocal"],
];
for (const [parts, field, option] of INSECURE) {
  const shown = (parts.user ?? parts.server ?? parts.cluster)!.slice(0, 70);
  test(`somebody else's kubeconfig may not have ${shown}, unless ${option} is allowed`, () => {
    const refusal = refusalOf(() => untrusted(kubeconfig(parts)));
    assert.equal(refusal.code, "invalid");
    assert.match(refusal.message, /^kubeconfig, line [46]: /);
    assert.ok(refusal.message.includes(`: ${field} `), refusal.message);
    assert.ok(refusal.message.includes(`allow "${option}" in PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS`));
    const others = Object.keys(INSECURE_KUBECONFIG_OPTIONS).filter((other) => other !== option);
    assert.equal(refusalOf(() => untrusted(kubeconfig(parts), ...others)).message, refusal.message);
    assert.ok(untrusted(kubeconfig(parts), option));
  });
}

test("what is allowed to lead to this machine is not kept from it when it connects", () => {
  assert.deepEqual(untrusted(kubeconfig({ server: "https://127.0.0.1" }), "loopback").refusedAddresses, ["linkLocal"]);
  assert.deepEqual(trusted(kubeconfig({ server: "https://127.0.0.1" })).refusedAddresses, []);
});

test("a user that nobody refers to is judged, too", () => {
  const text = `${kubeconfig({})}\n`.replace("users:\n", "users:\n- {name: spare, user: {tokenFile: /etc/shadow}}\n");
  assert.match(
    refusalOf(() => untrusted(text)).message,
    /users\[0\]\.user\.tokenFile names a file of ours; give a token/,
  );
});

const BOM = "\uFEFF";
const aliases = [
  "a: &a [x,x,x,x,x,x,x,x,x]",
  ..."bcdefghi".split("").map((name, at) => `${name}: &${name} [${`*${"abcdefgh"[at]},`.repeat(9)}]`),
];
/** What is wrong for anybody. */
const WRONG: readonly (readonly [string, string, RegExp])[] = [
  ["nothing", "", /^kubeconfig is empty$/],
  ["a list", "- a", /^kubeconfig must be a map of fields, with clusters and users$/],
  ["broken YAML", "clusters: [\n", /^kubeconfig, line \d: /],
  ["something else", "kind: Pod", /line 1: kind must be Config/],
  [
    "a billion laughs",
    `${aliases.join("\n")}\n${kubeconfig({})}`,
    /its aliases cannot be followed: Excessive alias count/,
  ],
  ["a key twice", `${kubeconfig({})}\ncurrent-context: other`, /line 10: Map keys must be unique; keep one of the two/],
  ["a tag", "x: !!js/function 'function(){}'", /line 1: .*only plain YAML is read, remove the tag/],
  ["a tab", "clusters:\n\t- name: x", /line 2: .*indent with spaces/],
  [
    "a byte order mark",
    `${BOM}${kubeconfig({})}`,
    /line 1: it begins with a byte order mark; save it as UTF-8 without one/,
  ],
  [
    "two documents",
    `${kubeconfig({})}\n---\n${kubeconfig({})}`,
    /line 1\d: a second document begins; keep one of them/,
  ],
  ["10 MB", `${kubeconfig({})}\n# ${"x".repeat(10_000_000)}`, /it is longer than 1048576 bytes, and is not read/],
  [
    "100,000 keys",
    Array.from({ length: 100_000 }, (_, at) => `k${at}:`).join("\n"),
    /it has more than 50000 words and marks, and is not read/,
  ],
  ["commas alone", `[${",".repeat(1_000_000)}]`, /it has more than 50000 words and marks/],
  [
    "a server of slashes",
    kubeconfig({ server: `https://x${"/".repeat(900_000)}x` }),
    /cluster\.server is 900010 characters long/,
  ],
  [
    "roots of spaces",
    kubeconfig({ cluster: `certificate-authority-data: "${" ".repeat(900_000)}%"` }),
    /-data is not base64/,
  ],
  ["10,000 levels", `x: ${"[".repeat(10_000)}`, /line 1: it nests deeper than 64 levels/],
  [
    "no current context",
    kubeconfig({}).replace(/current-context.*/, ""),
    /current-context is missing; it has the contexts main/,
  ],
  [
    "another current context",
    kubeconfig({}).replace("current-context: main", "current-context: x"),
    /current-context is "x", which is not there; it has the contexts main/,
  ],
  [
    "no such cluster",
    kubeconfig({}).replace("cluster: east,", "cluster: west,"),
    /line 8: contexts\[0\]\.context\.cluster is "west", but there is no such cluster/,
  ],
  [
    "no such user",
    kubeconfig({}).replace("user: reader}", "user: x}"),
    /contexts\[0\]\.context\.user is "x", but there is no such user/,
  ],
  [
    "a cluster twice",
    kubeconfig({}).replace("users:", "- {name: east, cluster: {}}\nusers:"),
    /line 5: clusters\[1\]\.name is "east" for the second time/,
  ],
  ["a user without a name", kubeconfig({}).replace("name: reader, ", ""), /users\[0\]\.name is missing/],
  [
    "a number for a token",
    kubeconfig({ user: "token: 123" }),
    /users\[0\]\.user\.token must be text; put it in quotes/,
  ],
  [
    "a token with a line end within",
    kubeconfig({ user: 'token: "a\\r\\nX-Admin: yes"' }),
    /user\.token has characters that no token has/,
  ],
  ["no server", kubeconfig({ server: "" }), /cluster\.server is missing/],
  [
    "a file for a server",
    kubeconfig({ server: "file:///etc/passwd" }),
    /server is "file:\/\/\/etc\/passwd"; it must be a URL, as https/,
  ],
  [
    "a password in the server",
    kubeconfig({ server: "https://ann:secret@10.0.0.1" }),
    /server is "https:\/\/…@10\.0\.0\.1"; it must have no user, password/,
  ],
  [
    "a proxy",
    kubeconfig({ cluster: `${ca}, proxy-url: 'http://proxy'` }),
    /cluster\.proxy-url is not supported: the server must be reachable without a proxy/,
  ],
  [
    "roots that are not base64",
    kubeconfig({ cluster: "certificate-authority-data: '%%%'" }),
    /certificate-authority-data is not base64/,
  ],
  [
    "roots that are not PEM",
    kubeconfig({ cluster: `certificate-authority-data: ${base64("hello")}` }),
    /certificate-authority-data holds no certificate in PEM/,
  ],
  [
    "roots that cannot be read",
    kubeconfig({
      cluster: `certificate-authority-data: ${base64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")}`,
    }),
    /of which number 1 cannot be read/,
  ],
  [
    "the key of another certificate",
    kubeconfig({
      user: `client-certificate-data: ${base64(pair.certificate)}, client-key-data: ${base64(otherPair.key)}`,
    }),
    /client-key-data is not the key of client-certificate-data/,
  ],
  [
    "a certificate without its key",
    kubeconfig({ user: `client-certificate-data: ${base64(pair.certificate)}` }),
    /client-key-data is missing, while there is a certificate/,
  ],
  [
    "a key without its certificate",
    kubeconfig({ user: `client-key-data: ${base64(pair.key)}` }),
    /client-certificate-data is missing, while there is a key/,
  ],
  ["a password without a name", kubeconfig({ user: "password: x" }), /username is missing, while there is a password/],
  [
    "a provider that is gone",
    kubeconfig({ user: "auth-provider: {name: gcp}" }),
    /auth-provider\.name is "gcp", which Kubernetes has no more; only oidc is supported/,
  ],
  [
    "oidc without a token",
    kubeconfig({ user: "auth-provider: {name: oidc, config: {}}" }),
    /auth-provider\.config\.id-token is missing/,
  ],
  [
    "a truth in quotes",
    kubeconfig({ cluster: "insecure-skip-tls-verify: 'true'" }),
    /insecure-skip-tls-verify must be true or false/,
  ],
];
for (const [what, text, says] of WRONG)
  test(`a kubeconfig with ${what} is refused, whoever wrote it`, function () {
    // Whatever it holds, ztunnels wait for us meanwhile.
    this.timeout(2000);
    for (const read of [untrusted, trusted]) {
      const refusal = refusalOf(() => read(text));
      assert.match(refusal.message, says);
      assert.ok(refusal.message.length < 400, `${refusal.message.length} characters`);
    }
  });

test("no secret shows in a refusal", () => {
  const user = "token: s3cr3t-token, username: 5, password: s3cr3t-word, tokenFile: /x";
  assert.doesNotMatch(refusalOf(() => untrusted(kubeconfig({ user }))).message, /s3cr3t/);
  assert.doesNotMatch(refusalOf(() => untrusted(kubeconfig({ user: 'token: "s3cr3t\\u0000"' }))).message, /s3cr3t/);
});

test("somebody else's kubeconfig has one context: the one that is meant", () => {
  const text = kubeconfig({}).replace(
    "current-context",
    "- {name: spare, context: {cluster: east, user: reader}}\ncurrent-context",
  );
  assert.match(
    refusalOf(() => untrusted(text)).message,
    /it has 2 contexts, and must have the one to use; make it with "kubectl config view --minify/,
  );
  assert.equal(trusted(text, "spare").server, "https://10.0.0.1:6443");
  assert.match(refusalOf(() => trusted(text, "x")).message, /there is no context "x"; it has the contexts main, spare/);
});

test("the operator's own kubeconfig may name files, which lie beside it, and programs", () => {
  const cluster = "certificate-authority: ca.crt";
  const read = trusted(
    kubeconfig({ cluster, user: "client-certificate: /abs/me.crt, client-key: me.key, tokenFile: ../token" }),
  );
  assert.deepEqual(read.ca, { file: "/home/ann/.kube/ca.crt" });
  assert.deepEqual(read.user, {
    certificate: { certificate: { file: "/abs/me.crt" }, key: { file: "/home/ann/.kube/me.key" } },
    login: { kind: "token", token: { file: "/home/ann/token" } },
  });
  const env = "env: [{name: A, value: b}]";
  const exec = (command: string) =>
    trusted(
      kubeconfig({
        user: `exec: {apiVersion: client.authentication.k8s.io/v1, command: ${command}, args: [x], ${env}}`,
      }),
    ).user.login;
  const plugin = { apiVersion: "client.authentication.k8s.io/v1", args: ["x"], env: [{ name: "A", value: "b" }] };
  assert.deepEqual(exec("aws"), { kind: "exec", exec: { ...plugin, command: "aws" } });
  assert.deepEqual(exec("./login.sh"), { kind: "exec", exec: { ...plugin, command: "/home/ann/.kube/login.sh" } });
});

test("the operator may ask to be somebody else", () => {
  const user = "token: abc, as: ann, as-uid: '7', as-groups: [dev, ops], as-user-extra: {'Acme/Über': [a]}";
  assert.deepEqual(trusted(kubeconfig({ user })).user.headers, {
    "impersonate-user": "ann",
    "impersonate-uid": "7",
    "impersonate-group": ["dev", "ops"],
    "impersonate-extra-acme%2f%c3%bcber": ["a"],
  });
});

test("data counts before a file, a token file before a token, and a server without a scheme has TLS", () => {
  const cluster = `${ca}, certificate-authority: /x`;
  const read = trusted(kubeconfig({ server: "10.0.0.1:6443/", cluster, user: "token: abc, tokenFile: /t" }));
  assert.deepEqual(
    [read.server, read.ca, read.user.login],
    ["https://10.0.0.1:6443", { text: authority.root }, { kind: "token", token: { file: "/t" } }],
  );
});

test("roots and no verification contradict each other", () => {
  const cluster = `${ca}, insecure-skip-tls-verify: true`;
  assert.match(refusalOf(() => trusted(kubeconfig({ cluster }))).message, /contradicts the certificate authority/);
});

test("paths of somebody else's kubeconfig, if allowed at all, are absolute", () => {
  const refusal = refusalOf(() => untrusted(kubeconfig({ user: "tokenFile: ../token" }), "tokenFile"));
  assert.match(refusal.message, /tokenFile must be an absolute path/);
});
