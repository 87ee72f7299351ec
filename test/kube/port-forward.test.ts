import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { writeFileSync } from "node:fs";
import { test } from "mocha";
import { MeshError } from "../../src/errors.ts";
import type { ClusterConnection } from "../../src/kube/connection.ts";
import { openCredentials } from "../../src/kube/credentials.ts";
import { HttpKubeApi } from "../../src/kube/http-api.ts";
import { KUBE_LIMITS } from "../../src/kube/limits.ts";
import { podLogs } from "../../src/kube/pod-logs.ts";
import { PortChannels } from "../../src/kube/port-forward-channels.ts";
import { type PodPageLimits, PodPages } from "../../src/kube/port-forward.ts";
import { folderOf } from "../kits/folder.ts";
import { kubeServer } from "../kits/kube-server.ts";
import { type PortForwardLab, portForwardServer, type Refusal } from "../kits/port-forward-server.ts";
import { realHost } from "../kits/real-host.ts";
import { TestAuthority } from "../kits/tls.ts";

const authority = await TestAuthority.create();
const POD = { namespace: "istio-system", name: "istiod-1", port: 15014 };
const never = new AbortController().signal;

interface Site extends AsyncDisposable, PortForwardLab {
  readonly pages: PodPages;
  readonly pod: Server;
}

interface SiteShape {
  readonly refuse?: (authorization: string | undefined) => Refusal | undefined;
  readonly limits?: Partial<PodPageLimits>;
  readonly over?: Partial<ClusterConnection>;
  readonly localPort?: number;
}

/** A pod whose admin port answers so, an API server that leads to it, and our client. */
async function site(answer: RequestListener, shape: SiteShape = {}): Promise<Site> {
  const pod = createServer(answer);
  pod.listen(0, "127.0.0.1");
  await once(pod, "listening");
  const port = shape.localPort ?? (pod.address() as AddressInfo).port;
  const lab = await portForwardServer(authority, () => port, shape.refuse);
  const { clock } = realHost();
  const connection = lab.server.connection(shape.over);
  const credentials = openCredentials(clock, connection.user);
  const pages = new PodPages({ clock, connection, credentials, limits: KUBE_LIMITS }, "context east", shape.limits);
  return {
    ...lab,
    pages,
    pod,
    async [Symbol.asyncDispose]() {
      pages.close();
      await lab.server[Symbol.asyncDispose]();
      pod.closeAllConnections();
      pod.close();
    },
  };
}

async function failureOf(promise: Promise<unknown>): Promise<MeshError> {
  const thrown: unknown = await promise.then(
    (value) => assert.fail(`it did not fail: ${String(value)}`),
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof MeshError, String(thrown));
  return thrown;
}

test("pages of a pod come through one port-forward, with our token", async () => {
  const user = { login: { kind: "token", token: { text: "secret" } } } as const;
  await using here = await site(({ url, headers }, response) => response.end(`${url} for ${headers.host}`), {
    over: { user },
  });
  assert.equal(await here.pages.get(POD, "/debug/syncz", never), "/debug/syncz for localhost");
  assert.equal(await here.pages.get(POD, "/version?a=b", never), "/version?a=b for localhost");
  assert.deepEqual(here.asked, [
    {
      path: "/api/v1/namespaces/istio-system/pods/istiod-1/portforward?ports=15014",
      authorization: "Bearer secret",
    },
  ]);
});

test("a page of many megabytes arrives whole", async () => {
  const long = "0123456789".repeat(1_000_000);
  await using here = await site((_, response) => response.end(long));
  assert.ok((await here.pages.get(POD, "/debug/configz", never)) === long);
});

test("a pod that closed the connection meanwhile is asked again over another one", async () => {
  await using here = await site((_, response) => response.end("here"));
  await here.pages.get(POD, "/ready", never);
  here.pod.closeAllConnections();
  assert.equal(await here.pages.get(POD, "/ready", never), "here");
  assert.equal(here.asked.length, 2);
});

test("a page that is not there is absent, with what the pod says of it", async () => {
  await using here = await site((_, response) => {
    response.statusCode = 404;
    response.end("nothing is pushed by endpoints here\nand more");
  });
  const { code, message } = await failureOf(here.pages.get(POD, "/debug/endpointz", never));
  assert.equal(code, "absent");
  assert.equal(
    message,
    "context east: port 15014 of pod istio-system/istiod-1 answered /debug/endpointz with 404: nothing is pushed by endpoints here",
  );
});

test("who may not forward ports is told which verbs to ask for", async () => {
  const refuse = (): Refusal => ({ status: 403, message: 'pods "istiod-1" is forbidden: User "ann" cannot' });
  await using here = await site((_, response) => response.end(), { refuse });
  const { code, message } = await failureOf(here.pages.get(POD, "/ready", never));
  assert.equal(code, "denied");
  assert.match(message, /^context east: port 15014 of pod istio-system\/istiod-1 cannot be reached: /);
  assert.match(message, /User "ann" cannot; grant the verbs get and create on pods\/portforward/);
});

test("a pod that is not there, and a port where nothing listens, are named", async () => {
  await using absent = await site((_, response) => response.end(), {
    refuse: () => ({ status: 404, message: 'pods "istiod-1" not found' }),
  });
  const first = await failureOf(absent.pages.get(POD, "/ready", never));
  assert.equal(first.code, "absent");
  assert.match(first.message, /pods "istiod-1" not found$/);

  const free = createServer().listen(0, "127.0.0.1");
  await once(free, "listening");
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  await using closed = await site((_, response) => response.end(), { localPort: port });
  const second = await failureOf(closed.pages.get(POD, "/ready", never));
  assert.equal(second.code, "unavailable");
  assert.match(
    second.message,
    /^context east: port 15014 of pod istio-system\/istiod-1 cannot be reached: .*ECONNREFUSED/,
  );
});

test("a token that was renewed meanwhile is read again when the old one is refused", async () => {
  await using folder = await folderOf({ token: "old" });
  const file = folder.at("token");
  const refuse = (shown: string | undefined): Refusal | undefined => {
    writeFileSync(file, "new");
    return shown === "Bearer new" ? undefined : { status: 401, message: "Unauthorized" };
  };
  const user = { login: { kind: "token", token: { file } } } as const;
  await using here = await site((_, response) => response.end("here"), { refuse, over: { user } });
  assert.equal(await here.pages.get(POD, "/ready", never), "here");
  assert.deepEqual(
    here.asked.map(({ authorization }) => authorization),
    ["Bearer old", "Bearer new"],
  );
});

test("pages that never come and pages without end are bounded", async () => {
  await using silent = await site(() => undefined, { limits: { pageMs: 50 } });
  const late = await failureOf(silent.pages.get(POD, "/debug/syncz", never));
  assert.equal(late.code, "timeout");
  assert.match(late.message, /^context east: port 15014 .* did not answer \/debug\/syncz in 0.05 s$/);
  await using endless = await site((_, response) => response.end("x".repeat(2000)), { limits: { bytesMax: 1000 } });
  const long = await failureOf(endless.pages.get(POD, "/debug/syncz", never));
  assert.equal(long.code, "exhausted");
  assert.match(long.message, /its answer is longer than 1000 bytes/);
});

test("who calls a page off, or closes the client, waits no longer", async () => {
  await using here = await site(() => undefined);
  const off = new AbortController();
  const first = failureOf(here.pages.get(POD, "/a", off.signal));
  off.abort();
  assert.equal((await first).code, "unavailable");
  const second = failureOf(here.pages.get(POD, "/b", never));
  here.pages.close();
  assert.equal((await second).code, "unavailable");
});

test("the API server's certificate must have the name that the kubeconfig gives it", async () => {
  const answer: RequestListener = (_, response) => response.end("here");
  await using good = await site(answer, { over: { tlsServerName: "localhost" } });
  assert.equal(await good.pages.get(POD, "/", never), "here");
  await using bad = await site(answer, { over: { tlsServerName: "other.example" } });
  assert.match((await failureOf(bad.pages.get(POD, "/", never))).message, /set tls-server-name/);
});

test("what a log is asked for reaches the API server, and the text comes back as it is", async () => {
  const asked: string[] = [];
  await using server = await kubeServer(authority, ({ url }, response) => {
    asked.push(url ?? "");
    response.end('{"not": parsed}\n');
  });
  const api = new HttpKubeApi(realHost(), server.connection());
  const request = { container: "discovery", sinceSeconds: 60, limitBytes: 1000, previous: true };
  assert.equal(await podLogs(api, POD, request), '{"not": parsed}\n');
  await api.close();
  assert.deepEqual(asked, [
    "/api/v1/namespaces/istio-system/pods/istiod-1/log?container=discovery&sinceSeconds=60&previous=true&limitBytes=1000",
  ]);
});

test("each channel of a forward begins with its port, in one message or with bytes behind it", () => {
  const channels = new PortChannels();
  assert.deepEqual(channels.receive(Buffer.of(0, 0xa6, 0x3a)), { kind: "nothing" });
  assert.deepEqual(channels.receive(Buffer.from([0, 65, 66])), { kind: "data", bytes: Buffer.from("AB") });
  assert.deepEqual(channels.receive(Buffer.from([1, 0xa6, 0x3a, 110, 111])), { kind: "failure", why: "no" });
  assert.deepEqual(channels.receive(Buffer.of()), { kind: "nothing" });
  assert.deepEqual(channels.receive(Buffer.of(7, 1)), { kind: "nothing" });
});
