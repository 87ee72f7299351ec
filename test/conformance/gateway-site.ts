import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import type { IncomingTunnel } from "../kits/hbone.ts";
import type { TestAuthority } from "../kits/tls.ts";
import { ambientNamespace, clusterManifest, waypointManifest } from "./gateway-manifests.ts";
import type { LoadReport, PodAnswer, PodAsk, PodConfig } from "./hbone-pod.ts";
import { LabCluster } from "./lab-cluster.ts";
import type { LabPrograms } from "./lab-programs.ts";
import type { TestHost } from "./network.ts";
import { until } from "./ztunnel-lab.ts";

const podProgram = join(import.meta.dirname, "hbone-pod.js");

/** The machines of one cluster. */
export interface SiteHosts {
  readonly plane: TestHost;
  readonly door: TestHost;
  readonly waypoint: TestHost;
  /** Calls. */
  readonly cart: TestHost;
  /** Is called. */
  readonly reviews: TestHost;
}

export interface SiteParts {
  readonly name: string;
  readonly folder: string;
  readonly hosts: SiteHosts;
  readonly envoy: string;
  readonly root: TestAuthority;
  readonly authority: TestAuthority;
  readonly programs: LabPrograms;
}

/** What a pod saw of a request, as its echo says. */
export interface Echo {
  readonly pod: string;
  readonly cluster: string;
  readonly peer: string;
  readonly authority: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** A call that somebody answered: the echo, if the pod did. */
export interface Called extends PodAnswer {
  readonly echo: Echo | undefined;
}

export const REVIEWS = "reviews.bookinfo.mesh.internal";
export const PORT = 9080;
const NAMESPACE = "bookinfo";

/**
 * One cluster of a gateway test, as guide 000 has it: a control plane, an east-west gateway and, if started, a waypoint, both
 * stock Envoys beside `causeway gateway`; and pods cart and reviews of namespace bookinfo.
 */
export class GatewaySite extends LabCluster {
  readonly #parts: SiteParts;
  door: ChildProcess | undefined;
  waypoint: ChildProcess | undefined;
  readonly #pods = new Map<string, ChildProcess>();

  constructor(parts: SiteParts) {
    const readers = [`${NAMESPACE}/cart`, `${NAMESPACE}/reviews`];
    super({ ...parts, network: `network-${parts.name}`, readers });
    this.#parts = parts;
    const { hosts } = parts;
    this.write("cluster", clusterManifest(this.network, hosts.door.address));
    this.write("cart", pod("cart", hosts.cart.address));
    this.write("service", reviewsService());
    this.showReviews(true);
  }

  get addresses(): Readonly<Record<keyof SiteHosts, string>> {
    const { plane, door, waypoint, cart, reviews } = this.#parts.hosts;
    return {
      plane: plane.address,
      door: door.address,
      waypoint: waypoint.address,
      cart: cart.address,
      reviews: reviews.address,
    };
  }

  /** Whether the API server has pod reviews. */
  showReviews(there: boolean): void {
    if (there) this.write("reviews", pod("reviews", this.addresses.reviews));
    else this.remove("reviews");
  }

  /** Whether the namespace's services go through a waypoint, which then has to be started. It stays when they no longer do. */
  useWaypoint(used: boolean): void {
    if (used) this.write("waypoint", waypointManifest(NAMESPACE, this.addresses.waypoint));
    this.write("namespace", ambientNamespace(NAMESPACE, this.network, used ? "waypoint" : ""));
  }

  async startDoor(): Promise<void> {
    const { envoy, hosts } = this.#parts;
    this.door = await this.startGateway(envoy, hosts.door, "istio-eastwest", "istio-eastwest");
  }
  async startWaypoint(): Promise<void> {
    const { envoy, hosts } = this.#parts;
    this.waypoint = await this.startGateway(envoy, hosts.waypoint, NAMESPACE, "waypoint");
  }

  /** A certificate of this cluster's authority, or of `issuer`, for an account of bookinfo. */
  async svid(
    account: string,
    issuer = this.#parts.authority,
    trustDomain = "cluster.local",
  ): Promise<PodConfig["svid"]> {
    const { certificate, key } = await issuer.issue([`spiffe://${trustDomain}/ns/${NAMESPACE}/sa/${account}`]);
    return { chain: `${certificate}\n${issuer.root}`, key, roots: this.#parts.root.root };
  }

  async startPod(name: "cart" | "reviews"): Promise<void> {
    const { hosts, programs, root } = this.#parts;
    const control = this.#control(name);
    rmSync(control, { force: true });
    const config: PodConfig = {
      ...{ name: `${name}-${this.name}`, address: hosts[name].address, network: this.network, cluster: this.name },
      svid: await this.svid(name),
      xds: { address: this.control, roots: root.root, token: this.token(NAMESPACE, `${name}-1`) },
      control,
    };
    const child = programs.start(hosts[name], process.execPath, [podProgram, JSON.stringify(config)]);
    this.#pods.set(name, child);
    await until(`pod ${name} of ${this.name} is ready`, () => programs.printed(child).includes("the pod is ready"));
  }

  /** As a pod that crashes; the API server may say so later. */
  async stopPod(name: "cart" | "reviews"): Promise<void> {
    await this.#parts.programs.stop(this.#pods.get(name)!);
  }

  /** What pod cart gets when it calls reviews, or another host. */
  async call(
    words: {
      readonly method?: string;
      readonly path?: string;
      readonly host?: string;
      readonly headers?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<Called> {
    const { method = "GET", path = "/reviews/1", host = REVIEWS, headers = {} } = words;
    const asked = {
      ask: "call",
      host,
      port: PORT,
      method,
      path,
      headers: { host: `${host}:${PORT}`, ...headers },
    } as const;
    return calledOf((await this.#ask("cart", asked)) as PodAnswer);
  }

  /** Opens just this tunnel from pod cart. */
  async tunnel(
    asked: Omit<Extract<PodAsk, { ask: "tunnel" }>, "ask" | "method" | "path" | "headers">,
  ): Promise<Called> {
    const words = { method: "GET", path: "/reviews/1", headers: { host: REVIEWS } };
    return calledOf((await this.#ask("cart", { ask: "tunnel", ...words, ...asked })) as PodAnswer);
  }

  async startLoad(atOnce: number): Promise<void> {
    const words = { method: "GET", path: "/reviews/1", headers: { host: `${REVIEWS}:${PORT}` } };
    await this.#ask("cart", { ask: "load", host: REVIEWS, port: PORT, atOnce, ...words });
  }
  async endLoad(): Promise<LoadReport> {
    return (await this.#ask("cart", { ask: "loaded" })) as LoadReport;
  }

  /** The tunnels that came to a pod. */
  async seen(name: "cart" | "reviews"): Promise<readonly IncomingTunnel[]> {
    return (await this.#ask(name, { ask: "seen" })) as readonly IncomingTunnel[];
  }

  /** Lines of a gateway's access log, parsed. */
  accessLog(gateway: "door" | "waypoint"): readonly Readonly<Record<string, unknown>>[] {
    return this.#parts.programs
      .printed(this[gateway]!)
      .split("\n")
      .filter((line) => line.startsWith("{") && line.includes('"authority"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  #control(name: string): string {
    return this.at(`${name}.sock`);
  }

  async #ask(name: "cart" | "reviews", ask: PodAsk): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.#control(name), method: "POST" }, (answer) => {
        let text = "";
        answer.on("data", (bytes: Buffer) => (text += bytes.toString())).on("end", () => resolve(JSON.parse(text)));
      });
      asked.on("error", reject);
      asked.end(JSON.stringify(ask));
    });
  }
}

const calledOf = (answer: PodAnswer): Called => ({
  ...answer,
  echo: answer.status === 200 ? (JSON.parse(answer.body) as Echo) : undefined,
});

const pod = (name: string, address: string): string => `
apiVersion: v1
kind: Pod
metadata: {name: ${name}-1, namespace: ${NAMESPACE}, labels: {app: ${name}}}
spec:
  nodeName: node-1
  serviceAccountName: ${name}
  containers: [{name: app, image: app, ports: [{containerPort: ${PORT}}]}]
status: {phase: Running, podIPs: [{ip: ${address}}], podIP: ${address}}
`;

/** As guide 000 has it; `more` are annotations. */
export const reviewsService = (more: Readonly<Record<string, string>> = {}): string => `
apiVersion: v1
kind: Service
metadata:
  name: reviews
  namespace: ${NAMESPACE}
  labels: {solo.io/service-scope: global}
  annotations: ${JSON.stringify(more)}
spec:
  ports: [{name: http, port: ${PORT}, targetPort: ${PORT}}]
  selector: {app: reviews}
`;
