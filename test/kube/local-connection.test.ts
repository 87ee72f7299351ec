import assert from "node:assert/strict";
import { delimiter } from "node:path";
import { test } from "mocha";
import { inClusterConnection, localConnection } from "../../src/kube/local-connection.ts";
import { folderOf } from "../kits/folder.ts";

const POD = { "ca.crt": "roots", token: "abc\n", namespace: "istio-system\n" };
const IN_POD = { KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };

const cluster = (name: string, server: string): string => `- {name: ${name}, cluster: {server: "${server}"}}`;
const context = (name: string): string => `- {name: ${name}, context: {cluster: ${name}, user: ${name}}}`;
const user = (name: string, fields: string): string => `- {name: ${name}, user: {${fields}}}`;
const kubeconfig = (
  name: string,
  { server = `https://${name}`, fields = `token: ${name}`, current = name } = {},
): string =>
  [
    "clusters:",
    cluster(name, server),
    "contexts:",
    context(name),
    "users:",
    user(name, fields),
    `current-context: ${current}`,
  ].join("\n");

test("a pod finds its API server, its namespace and the token that the kubelet renews", async () => {
  await using folder = await folderOf(POD);
  const found = await inClusterConnection(IN_POD, { folder: folder.path });
  assert.equal(found?.source, "in-cluster");
  assert.equal(found.namespace, "istio-system");
  assert.equal(found.connection.server, "https://10.96.0.1:443");
  assert.deepEqual(found.connection.ca, { file: folder.at("ca.crt") });
  assert.deepEqual(found.connection.user.login, { kind: "token", token: { file: folder.at("token") } });
});

test("a pod of an IPv6 cluster finds its API server", async () => {
  await using folder = await folderOf(POD);
  const found = await inClusterConnection({ ...IN_POD, KUBERNETES_SERVICE_HOST: "fd00::1" }, { folder: folder.path });
  assert.equal(new URL(found!.connection.server).host, "[fd00::1]");
});

test("what is not in a pod has no in-cluster connection", async () => {
  await using folder = await folderOf({});
  assert.equal(await inClusterConnection({}, { folder: folder.path }), undefined);
});

const HALVES: readonly (readonly [string, Record<string, string>, Record<string, string>, RegExp])[] = [
  ["no token", { "ca.crt": "" }, IN_POD, /a pod that lacks [^ ]*token; set automountServiceAccountToken to true/],
  ["no files", {}, IN_POD, /lacks .*ca\.crt and .*token; /],
  ["no port", POD, { KUBERNETES_SERVICE_HOST: "10.96.0.1" }, /lacks KUBERNETES_SERVICE_PORT; /],
  ["no variables", POD, {}, /lacks KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT; /],
];
for (const [what, files, environment, says] of HALVES)
  test(`a pod with ${what} says what to do`, async () => {
    await using folder = await folderOf(files);
    await assert.rejects(inClusterConnection(environment, { folder: folder.path }), says);
  });

test("the flag comes before KUBECONFIG, that before the pod, and the home folder last", async () => {
  await using folder = await folderOf({
    ...POD,
    flag: kubeconfig("flag"),
    variable: kubeconfig("variable"),
    ".kube/config": kubeconfig("home"),
  });
  const found = async (options: object, environment: object): Promise<string> => {
    const { connection, source } = await localConnection(options, { ...environment }, folder.path, {
      folder: folder.path,
    });
    return `${connection.server} ${source}`;
  };
  const [flag, KUBECONFIG] = [folder.at("flag"), folder.at("variable")];
  const environment = { ...IN_POD, KUBECONFIG };
  assert.equal(await found({ kubeconfig: flag }, environment), `https://flag --kubeconfig ${flag}`);
  assert.equal(await found({}, environment), `https://variable KUBECONFIG ${KUBECONFIG}`);
  assert.equal(await found({}, IN_POD), "https://10.96.0.1:443 in-cluster");
  // A context can only be meant of a kubeconfig.
  assert.equal(await found({ context: "home" }, IN_POD), `https://home ${folder.at(".kube/config")}`);
});

test("whoever has nothing at all is told what to give", async () => {
  await using folder = await folderOf({});
  const local = localConnection({}, {}, folder.path, { folder: folder.path });
  await assert.rejects(
    local,
    /we run in no pod, and there is no .*\.kube\/config; give --kubeconfig or set KUBECONFIG/,
  );
});

test("the files of KUBECONFIG are merged: what is named first counts, and paths are relative to their own file", async () => {
  await using folder = await folderOf({
    "one/config": kubeconfig("east", { current: "west", fields: "tokenFile: token" }),
    "two/config": `${kubeconfig("west", { fields: "tokenFile: token" })}\nkind: Config`.replace(
      "clusters:",
      `clusters:\n${cluster("east", "https://other")}`,
    ),
  });
  const KUBECONFIG = [folder.at("absent"), folder.at("one/config"), "", folder.at("two/config")].join(delimiter);
  const west = await localConnection({}, { KUBECONFIG }, folder.path);
  assert.equal(west.connection.server, "https://west");
  assert.deepEqual(west.connection.user.login, { kind: "token", token: { file: folder.at("two/token") } });
  const east = await localConnection({ context: "east" }, { KUBECONFIG }, folder.path);
  assert.equal(east.connection.server, "https://east");
  assert.deepEqual(east.connection.user.login, { kind: "token", token: { file: folder.at("one/token") } });
});

test("a file that was named and is not there is an error, and so is one that cannot be read", async () => {
  await using folder = await folderOf({ broken: "a: [" });
  const named = (kubeconfig: string) => localConnection({ kubeconfig }, IN_POD, folder.path);
  await assert.rejects(named(folder.at("absent")), {
    code: "absent",
    message: /the kubeconfig .*absent cannot be read/,
  });
  await assert.rejects(named(folder.path), { code: "invalid", message: /cannot be read: EISDIR/ });
  await assert.rejects(named(folder.at("broken")), { code: "invalid", message: /broken, line 1: / });
  const KUBECONFIG = folder.at("absent");
  await assert.rejects(localConnection({}, { ...IN_POD, KUBECONFIG }, folder.path), { code: "absent" });
});
