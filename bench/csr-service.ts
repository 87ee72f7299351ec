import { fork } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Long from "long";
import { istio } from "../proto/gen/mesh.js";
import type { Authority } from "../src/ca/authority.ts";
import { newCsr } from "../src/ca/client.ts";
import { IssuanceLog } from "../src/ca/issuance-log.ts";
import { startSigningThread } from "../src/ca/start-signing-thread.ts";
import { ThreadedSigner } from "../src/ca/threaded-signer.ts";
import { toPem } from "../src/pem.ts";
import { certificateService } from "../src/ca/service.ts";
import { ServingCertificates } from "../src/ca/serving-certificate.ts";
import { TokenReviewAuthenticator } from "../src/ca/token-review-authenticator.ts";
import { GrpcServer } from "../src/grpc/server.ts";
import { LogScopes } from "../src/log.ts";
import { parseLogLevels } from "../src/log-levels.ts";
import { clusterId } from "../src/names.ts";
import { controlPlaneId } from "../src/spiffe.ts";
import type { CsrOrder, CsrReport } from "./csr-client.ts";
import { quietHost } from "./quiet-host.ts";

const trustDomain = "cluster.local";
const NODES = 50;

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** What the API server says of each token: what it takes to find that out is not ours. */
const reviews = new Map<string, unknown>();

/** A token of the ztunnel of one of fifty nodes; each `serial` another. */
function token(serial: number): string {
  const pod = { name: `ztunnel-${serial % NODES}`, uid: `u${serial % NODES}` };
  const username = "system:serviceaccount:istio-system:ztunnel";
  const claims = {
    sub: username,
    aud: ["istio-ca"],
    exp: Math.floor(Date.now() / 1000) + 3600,
    jti: `${serial}`,
    "kubernetes.io": { pod },
  };
  const text = `${encoded({ alg: "RS256", kid: "k" })}.${encoded(claims)}.${"s".repeat(342)}`;
  const extra = {
    "authentication.kubernetes.io/pod-name": [pod.name],
    "authentication.kubernetes.io/pod-uid": [pod.uid],
  };
  const user = { username, groups: ["system:serviceaccounts"], extra };
  reviews.set(text, { authenticated: true, user, audiences: ["istio-ca"] });
  return text;
}

const review = (shown: string): Promise<unknown> => Promise.resolve(reviews.get(shown));

/** Milliseconds of the processor that each thread of this process has had; none where the kernel does not tell. */
function threadTimes(): ReadonlyMap<string, number> {
  const tasks = "/proc/self/task";
  if (!existsSync(tasks)) return new Map();
  return new Map(
    readdirSync(tasks).map((id) => [id, Number(readFileSync(`${tasks}/${id}/schedstat`, "utf8").split(" ")[0]) / 1e6]),
  );
}

const requests = (): readonly string[] =>
  Array.from({ length: 200 }, () => {
    const asked = { ImpersonatedIdentity: { stringValue: `spiffe://${trustDomain}/ns/shop/sa/cart` } };
    const message = { csr: newCsr().csr, validityDuration: Long.fromNumber(86_400), metadata: { fields: asked } };
    return Buffer.from(istio.v1.auth.IstioCertificateRequest.encode(message).finish()).toString("base64");
  });

/** Certificates a second. */
export interface ServiceRates {
  /** By the clock on the wall, while the client takes its part of the same machine. */
  readonly wall: number;
  /**
   * What two cores give that do nothing else: by the time of the processor that the service took, and no more than its
   * busiest thread can do on one of them.
   */
  readonly twoCores: number;
}

export interface CsrService extends AsyncDisposable {
  /** To a client in another process. */
  rate(tokens: "fresh" | "repeated", count: number): Promise<ServiceRates>;
}

/** The certificate service as it runs, its log formatted and then dropped, behind TLS. */
export async function csrService(authority: Authority): Promise<CsrService> {
  const quiet = quietHost();
  const log = new LogScopes({ now: () => quiet.clock.now(), write: () => {} }, parseLogLevels("bench", "info"));
  const host = { clock: quiet.clock, random: quiet.random, metrics: quiet.metrics, log };
  const pod = { namespace: "istio-system", name: "ztunnel", uid: "u", node: "n1", serviceAccount: "ztunnel" };
  const facts = { ...pod, labels: new Map() };
  const pods = { find: () => facts, holders: () => [facts] };
  const cluster = clusterId("east");
  const authenticator = new TokenReviewAuthenticator(host, { cluster, trustDomain, reviewer: { review }, pods });
  const rules = { trustDomain, trustedNodeAccounts: new Set(["istio-system/ztunnel"]), pods };
  const signer = new ThreadedSigner(host, authority, trustDomain, startSigningThread);
  const method = certificateService(host, {
    authenticator,
    rules,
    signer,
    issuances: new IssuanceLog(host),
  });
  const root = authority.roots.map((bytes) => toPem("CERTIFICATE", bytes)).join("");
  const serving = new ServingCertificates(
    host,
    authority,
    ["localhost", "127.0.0.1"],
    controlPlaneId("cluster.local", "istio-system"),
  );
  const certificate = { ...serving.start(() => {}), clientRoots: root };
  const server = new GrpcServer(host, { name: "bench", methods: [method], certificate });
  const { port } = await server.listen({ address: "127.0.0.1", port: 0 });
  const client = fork(join(import.meta.dirname, "csr-client.js"), { execArgv: [] });
  const messages = requests();
  let serial = 0;
  return {
    async rate(tokens, count) {
      const shown = Array.from({ length: tokens === "fresh" ? count + 1 : NODES }, () =>
        token(tokens === "fresh" ? (serial += 1) : serial++ % NODES),
      );
      const order: CsrOrder = { port, root, messages, tokens: shown, count, connections: 4, atOnce: 8 };
      client.send(order);
      const [before, threadsBefore] = [process.cpuUsage(), threadTimes()];
      const [{ ms, failed }] = (await once(client, "message")) as [CsrReport];
      if (failed !== undefined) throw new Error(`csr: ${failed}`);
      const { user, system } = process.cpuUsage(before);
      const busiestMs = Math.max(...[...threadTimes()].map(([id, spent]) => spent - (threadsBefore.get(id) ?? 0)));
      const neededMs = Math.max((user + system) / 1000 / 2, busiestMs);
      return { wall: (1000 * count) / ms, twoCores: (1000 * count) / neededMs };
    },
    async [Symbol.asyncDispose]() {
      client.kill("SIGKILL");
      serving.close();
      signer.close();
      await server.close(0);
    },
  };
}
