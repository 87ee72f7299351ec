import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "mocha";
import type { KubeApi } from "../../src/kube/api.ts";
import type { UserAuth } from "../../src/kube/connection.ts";
import { openCredentials } from "../../src/kube/credentials.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { readKubeconfig } from "../../src/kube/kubeconfig.ts";
import { folderOf } from "../kits/folder.ts";
import { answerJson, kubeServer, type ServerShape } from "../kits/kube-server.ts";
import { realHost } from "../kits/real-host.ts";
import { TestHost } from "../kits/test-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const authority = await TestAuthority.create();

/** A server that tells whom it sees, and refuses all but those whom it is told to know. */
async function doorkeeper(known: (authorization: string) => boolean = () => true, shape: ServerShape = {}) {
  const seen: string[] = [];
  const server = await kubeServer(
    authority,
    ({ headers }, response) => {
      seen.push(headers.authorization ?? "");
      if (known(headers.authorization ?? "")) answerJson(response, 200, headers);
      else answerJson(response, 401, { kind: "Status", reason: "Unauthorized", message: "Unauthorized" });
    },
    shape,
  );
  return { server, seen, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const ask = (api: KubeApi) => api.call({ method: "GET", path: "/api" }) as Promise<Record<string, string>>;

const SHOWN: readonly (readonly [UserAuth, Record<string, string | undefined>])[] = [
  [{}, { authorization: undefined }],
  [{ login: { kind: "token", token: { text: "abc" } } }, { authorization: "Bearer abc" }],
  [{ login: { kind: "basic", username: "ann", password: "a:b" } }, { authorization: "Basic YW5uOmE6Yg==" }],
  [
    { headers: { "impersonate-user": "ann", "impersonate-group": ["a", "b"] } },
    { "impersonate-user": "ann", "impersonate-group": "a, b" },
  ],
];
test("a server sees the token, the password or the user that is impersonated", async () => {
  await using door = await doorkeeper();
  for (const [user, headers] of SHOWN) {
    const api = new HttpKubeApi(realHost(), door.server.connection({ user }));
    const shown = await ask(api);
    for (const [name, value] of Object.entries(headers)) assert.equal(shown[name], value);
    await api.close();
  }
});

for (const protocol of ["h2", "http/1.1"] as const)
  test(`over ${protocol}, a server that asks for a certificate sees ours, and turns away whoever has none`, async () => {
    await using door = await doorkeeper(undefined, { protocol, clients: authority });
    const { certificate, key } = await authority.issue();
    const user = { certificate: { certificate: { text: certificate }, key: { text: key } } };
    const api = new HttpKubeApi(realHost(), door.server.connection({ user }));
    assert.ok(await ask(api));
    await api.close();
    const stranger = new HttpKubeApi(realHost(), door.server.connection());
    await assert.rejects(ask(stranger), /it wants a client certificate; check client-certificate-data/);
    await stranger.close();
  });

test("a certificate that was renewed is shown on a new connection", async () => {
  const [one, two] = [await authority.issue(), await authority.issue()];
  await using folder = await folderOf({ crt: one.certificate, key: one.key });
  await using door = await doorkeeper(undefined, { clients: authority });
  const user = { certificate: { certificate: { file: folder.at("crt") }, key: { file: folder.at("key") } } };
  const api = new HttpKubeApi(realHost(), door.server.connection({ user }));
  for (const { certificate, key } of [one, one, two]) {
    await writeFile(folder.at("crt"), certificate);
    await writeFile(folder.at("key"), key);
    await ask(api);
  }
  assert.equal(door.server.sockets.length, 2);
  await api.close();
});

test("a token file is read at most once a minute, and what the kubelet wrote there counts from then on", async () => {
  await using folder = await folderOf({ token: "one\n" });
  const host = new TestHost();
  const credentials = openCredentials(host.clock, { login: { kind: "token", token: { file: folder.at("token") } } });
  const shown = async () => (await credentials.current()).headers["authorization"];
  assert.equal(await shown(), "Bearer one");
  await writeFile(folder.at("token"), "two\n");
  host.clock.advance(59_999);
  assert.equal(await shown(), "Bearer one");
  host.clock.advance(1);
  assert.equal(await shown(), "Bearer two");
});

test("a token that cannot be read any more is shown until the server refuses it", async () => {
  await using folder = await folderOf({ token: "one" });
  const host = new TestHost();
  const credentials = openCredentials(host.clock, { login: { kind: "token", token: { file: folder.at("token") } } });
  await credentials.current();
  await rm(folder.at("token"));
  host.clock.advance(60_000);
  assert.equal((await credentials.current()).headers["authorization"], "Bearer one");
  assert.equal(await credentials.refresh(), false);
});

test("a token file that never could be read is named", async () => {
  await using folder = await folderOf({ empty: "\n" });
  await using door = await doorkeeper();
  for (const [name, says] of [
    ["absent", /GET \/api at https:.* failed: .*absent cannot be read: ENOENT/],
    ["empty", /empty holds no token/],
  ] as const) {
    const user: UserAuth = { login: { kind: "token", token: { file: folder.at(name) } } };
    const api = new HttpKubeApi(realHost(), door.server.connection({ user }));
    await assert.rejects(ask(api), says);
    await api.close();
  }
  assert.deepEqual(door.seen, []);
});

test("a server that refuses a token is asked once more if there is a newer one, and only then", async () => {
  await using folder = await folderOf({ token: "one" });
  await using door = await doorkeeper((authorization) => authorization === "Bearer two");
  const user: UserAuth = { login: { kind: "token", token: { file: folder.at("token") } } };
  const api = new HttpKubeApi(realHost(), door.server.connection({ user }));
  await assert.rejects(ask(api), { code: "unauthenticated", status: 401 });
  assert.deepEqual(door.seen, ["Bearer one"]);
  await writeFile(folder.at("token"), "two");
  await ask(api);
  await writeFile(folder.at("token"), "three");
  await ask(api);
  assert.deepEqual(door.seen, ["Bearer one", "Bearer one", "Bearer two", "Bearer two"]);
  await api.close();
});

/** A program that leaves a mark each time it runs, and prints what is in `answer`. */
async function plugin(answer: object | string) {
  const said = typeof answer === "string" ? answer : JSON.stringify(answer);
  const folder = await folderOf({ answer: said });
  const script = ["#!/bin/sh", `echo "$KUBERNETES_EXEC_INFO" >> ${folder.at("mark")}`, `cat ${folder.at("answer")}`];
  await writeFile(folder.at("login"), script.join("\n"));
  await chmod(folder.at("login"), 0o755);
  return Object.assign(folder, {
    runs: () => (existsSync(folder.at("mark")) ? readFileSync(folder.at("mark"), "utf8").trim().split("\n") : []),
  });
}

function kubeconfig(server: string, user: string): string {
  const ca = Buffer.from(authority.root).toString("base64");
  return [
    `clusters: [{name: x, cluster: {server: "${server}", certificate-authority-data: ${ca}}}]`,
    `users: [{name: x, user: {${user}}}]`,
    "contexts: [{name: x, context: {cluster: x, user: x}}]",
    "current-context: x",
  ].join("\n");
}

const execOf = (command: string): string => `exec: {apiVersion: client.authentication.k8s.io/v1, command: ${command}}`;
const credential = (status: object): object => ({
  apiVersion: "client.authentication.k8s.io/v1",
  kind: "ExecCredential",
  status,
});

test("a program in the operator's own kubeconfig is run, once; in somebody else's it never is", async () => {
  await using folder = await plugin(credential({ token: "abc" }));
  await using door = await doorkeeper();
  const text = kubeconfig(door.server.url, execOf("./login"));
  for (const fields of [execOf(folder.at("login")), `token: abc, ${execOf(folder.at("login"))}`])
    assert.throws(
      () => readKubeconfig(kubeconfig(door.server.url, fields), { trusted: false, allowed: new Set(["loopback"]) }),
      /users\[0\]\.user\.exec names a program to run/,
    );
  assert.deepEqual(folder.runs(), []);
  const api = new HttpKubeApi(realHost(), readKubeconfig(text, { trusted: true, baseDir: folder.path }));
  assert.equal((await ask(api))["authorization"], "Bearer abc");
  await Promise.all([ask(api), ask(api)]);
  const info = { apiVersion: "client.authentication.k8s.io/v1", kind: "ExecCredential", spec: { interactive: false } };
  assert.deepEqual(
    folder.runs().map((line) => JSON.parse(line) as unknown),
    [info],
  );
  await api.close();
});

test("a program that asks for it is told of the cluster", async () => {
  await using folder = await plugin(credential({ token: "abc" }));
  const fields = execOf(folder.at("login")).replace("}", ", provideClusterInfo: true}");
  const { user } = readKubeconfig(kubeconfig("https://x", fields), { trusted: true, baseDir: "/" });
  await openCredentials(new TestHost().clock, user).current();
  const { spec } = JSON.parse(folder.runs()[0]!) as { spec: { cluster: object } };
  const data = Buffer.from(authority.root).toString("base64");
  assert.deepEqual(spec.cluster, { server: "https://x", "certificate-authority-data": data });
});

test("a program is run again when its token is refused, but not in a loop", async () => {
  await using folder = await plugin(credential({ token: "abc" }));
  const host = new TestHost();
  const { user } = readKubeconfig(kubeconfig("https://x", execOf(folder.at("login"))), { trusted: true, baseDir: "/" });
  const credentials = openCredentials(host.clock, user);
  await credentials.current();
  await writeFile(folder.at("answer"), JSON.stringify(credential({ token: "new" })));
  assert.equal(await credentials.refresh(), false);
  host.clock.advance(10_000);
  assert.equal(await credentials.refresh(), true);
  assert.equal((await credentials.current()).headers["authorization"], "Bearer new");
  assert.equal(folder.runs().length, 2);
});

test("a program that fails is not run in a loop, and what it said before is shown until the server refuses it", async () => {
  await using folder = await plugin("hello");
  const host = new TestHost();
  const { user } = readKubeconfig(kubeconfig("https://x", execOf(folder.at("login"))), { trusted: true, baseDir: "/" });
  const credentials = openCredentials(host.clock, user);
  const answer = (said: string) => writeFile(folder.at("answer"), said);
  for (let round = 0; round < 3; round += 1) await assert.rejects(credentials.current(), /gave no credentials/);
  assert.equal(folder.runs().length, 1);
  await answer(JSON.stringify(credential({ token: "abc" })));
  host.clock.advance(10_000);
  await credentials.current();
  await answer("hello");
  host.clock.advance(60_000);
  assert.equal((await credentials.current()).headers["authorization"], "Bearer abc");
  assert.equal(folder.runs().length, 3);
  host.clock.advance(10_000);
  await assert.rejects(credentials.refresh(), /gave no credentials/);
});

test("a certificate that a program gives is shown in the handshake", async () => {
  const { certificate, key } = await authority.issue();
  await using folder = await plugin(credential({ clientCertificateData: certificate, clientKeyData: key }));
  await using door = await doorkeeper(undefined, { clients: authority });
  const text = kubeconfig(door.server.url, execOf(folder.at("login")));
  const api = new HttpKubeApi(realHost(), readKubeconfig(text, { trusted: true, baseDir: "/" }));
  assert.ok(await ask(api));
  await api.close();
});

const FAILING: readonly (readonly [string, string | object, RegExp])[] = [
  ["prints something else", "hello", /exec \S*login gave no credentials: .*JSON/],
  ["prints nothing to show", credential({}), /its answer has neither status\.token nor a certificate with its key/],
  ["prints no status", {}, /gave no credentials: /],
];
for (const [what, answer, says] of FAILING)
  test(`a program that ${what} is named`, async () => {
    await using folder = await plugin(answer);
    const { user } = readKubeconfig(kubeconfig("https://x", execOf(folder.at("login"))), {
      trusted: true,
      baseDir: "/",
    });
    await assert.rejects(openCredentials(new TestHost().clock, user).current(), {
      code: "unauthenticated",
      message: says,
    });
  });

test("a program that is not there, or fails, is named with what it said", async () => {
  const failing = (command: string) => {
    const { user } = readKubeconfig(kubeconfig("https://x", execOf(command)), { trusted: true, baseDir: "/" });
    return openCredentials(new TestHost().clock, user).current();
  };
  await assert.rejects(failing("/no/such/program"), /exec \/no\/such\/program gave no credentials: spawn .* ENOENT/);
  await using folder = await folderOf({ "fail.sh": "#!/bin/sh\necho please log in >&2; exit 3" });
  await chmod(folder.at("fail.sh"), 0o755);
  await assert.rejects(failing(folder.at("fail.sh")), /gave no credentials: please log in$/);
});

const jwt = (claims: object): string =>
  ["{}", JSON.stringify(claims), "sig"].map((part) => Buffer.from(part).toString("base64url")).join(".");

test("an oidc token is shown while it is good; one that has expired and cannot be renewed says so", async () => {
  const now = Date.now() / 1000;
  const shown = (exp: number) => {
    const user = `auth-provider: {name: oidc, config: {id-token: ${jwt({ exp })}}}`;
    const read = readKubeconfig(kubeconfig("https://x", user), { trusted: true, baseDir: "/" });
    return openCredentials(new TestHost().clock, read.user).current();
  };
  const exp = Math.round(now + 3600);
  assert.equal((await shown(exp)).headers["authorization"], `Bearer ${jwt({ exp })}`);
  await assert.rejects(
    shown(Math.round(now - 10)),
    /auth-provider oidc gave no credentials: the id-token has expired, and/,
  );
});

test("the client library of Kubernetes is loaded only for a user that needs it", () => {
  const root = join(import.meta.dirname, "..", "..", "..", "src");
  const mentions = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) => readFileSync(join(root, path), "utf8").split("\n"))
    .filter((line) => line.includes('"@kubernetes/client-node"'));
  assert.deepEqual(
    mentions.map((line) => line.trim()),
    ['const { KubeConfig } = await import("@kubernetes/client-node");'],
  );
});
