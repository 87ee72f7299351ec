import { connect } from "node:http2";
import type { ServerResponse } from "node:http";
import { HttpKubeApi } from "../src/kube/http-api.ts";
import { Reflector } from "../src/kube/reflector.ts";
import { RelistGate } from "../src/kube/relist-gate.ts";
import { PODS } from "../src/kube/resource-types.ts";
import { answerJson, type KubeServer, kubeServer } from "../test/kits/kube-server.ts";
import { TestAuthority } from "../test/kits/tls.ts";
import { type Bench, cost, type Report } from "./bench.ts";
import { quietHost } from "./quiet-host.ts";

const PODS_IN_ALL = 50_000;
const PAGE = 500;
/** Makes a pod of some 4 kB, as API servers send them. */
const ballast = Array.from({ length: 30 }, (_, i) => ({ name: `FIELD_${i}`, value: "x".repeat(90) }));

const pod = (i: number): object => ({
  metadata: { name: `pod-${i}`, namespace: `ns-${i % 50}`, uid: `0000-${i}`, resourceVersion: `${i + 1}` },
  spec: { nodeName: `node-${i % 500}`, containers: [{ name: "app", env: ballast }] },
  status: { phase: "Running", podIP: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` },
});

const page = (at: number): Buffer => {
  const next = (at + 1) * PAGE < PODS_IN_ALL ? { continue: `${at + 1}` } : {};
  const items = Array.from({ length: PAGE }, (_, i) => pod(at * PAGE + i));
  return Buffer.from(JSON.stringify({ kind: "PodList", metadata: { resourceVersion: "900000", ...next }, items }));
};

/** An API server that only knows its pods, and streams no lists. */
async function podServer(): Promise<KubeServer> {
  const pages = Array.from({ length: PODS_IN_ALL / PAGE }, (_, at) => page(at));
  const answer = (url: string, response: ServerResponse): void => {
    const query = new URL(url, "https://server").searchParams;
    if (url === "/version") answerJson(response, 200, {});
    else if (query.has("limit")) response.end(pages[Number(query.get("continue") ?? 0)]);
    else if (query.has("sendInitialEvents")) answerJson(response, 422, { kind: "Status", reason: "Invalid" });
    else response.writeHead(200);
  };
  return kubeServer(await TestAuthority.create(), ({ url }, response) => answer(url ?? "", response));
}

/** The same pages over one HTTP/2 connection, parsed and dropped: as little as a list can cost. */
async function rawList({ url }: KubeServer): Promise<void> {
  const session = connect(url, { rejectUnauthorized: false });
  let token: string | undefined = "";
  let pods = 0;
  while (token !== undefined) {
    const stream = session.request({ ":path": `/api/v1/pods?limit=${PAGE}${token && `&continue=${token}`}` });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const list = JSON.parse(Buffer.concat(chunks).toString()) as {
      readonly metadata: { readonly continue?: string };
      readonly items: readonly object[];
    };
    pods += list.items.length;
    token = list.metadata.continue;
  }
  session.close();
  if (pods !== PODS_IN_ALL) throw new Error(`the raw list had ${pods} pods`);
}

async function reflectedList(server: KubeServer): Promise<void> {
  const host = quietHost();
  const api = new HttpKubeApi(host, server.connection());
  let pods = 0;
  const sink = { set: () => void (pods += 1), delete: () => {} };
  await new Promise<void>((onSynced) => {
    const reflector = new Reflector(host, api, new RelistGate(), { cluster: "bench", type: PODS, sink, onSynced });
    reflector.start();
  });
  await api.close();
  if (pods !== PODS_IN_ALL) throw new Error(`the reflector had ${pods} pods`);
}

async function elapsed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** A first list of 50,000 pods, against the raw pages and JSON.parse; server and client share the process in both. */
export const bench: Bench = {
  name: "reflector",
  async run(report: Report) {
    await using server = await podServer();
    const ours: number[] = [];
    const raw: number[] = [];
    for (let round = 0; round < 3; round++) {
      raw.push(await elapsed(() => rawList(server)));
      ours.push(await elapsed(() => reflectedList(server)));
    }
    report(cost("reflector.list-50k-pods", middle(ours), "ms", middle(raw)));
  },
};
