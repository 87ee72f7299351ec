import { type ClusterAccess } from "../../src/inspect/cluster-access.ts";
import { type Command, type CommandCall, type ExitCode, UsageError } from "../../src/command.ts";
import { namedContexts } from "../../src/commands/contexts.ts";
import type { LinkTools } from "../../src/commands/link-tools.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { GATEWAYS, SERVICES } from "../../src/kube/resource-types.ts";
import { type Ran, run } from "../commands/served-mesh.ts";
import { FakeApiServer } from "../kits/fake-api-server.ts";
import { TestHost } from "../kits/test-host.ts";
import type { TestAuthority } from "../kits/tls.ts";

export const SYSTEM = "istio-system";
export const NAMESPACE = "istio-eastwest";

/** Clusters by the names of their contexts, and a command that goes to them. */
export class LinkedLab {
  readonly host = new TestHost();
  readonly servers = new Map<string, FakeApiServer>();
  /** What control planes say, by cluster and path. */
  page: ((cluster: string, path: string) => unknown) | undefined;

  /** With a control plane that says its name, on a network of its own, under an authority. */
  cluster(
    name: string,
    authority: TestAuthority | undefined,
    network: string | undefined = `net-${name}`,
  ): FakeApiServer {
    const server = new FakeApiServer(this.host.clock, { server: `https://${name}.example:6443` });
    this.servers.set(name, server);
    const labels = network === undefined ? {} : { "topology.istio.io/network": network };
    server.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: SYSTEM, labels } });
    const env = [{ name: "CLUSTER_ID", value: name }];
    server.put({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "istiod-1", namespace: SYSTEM, labels: { app: "istiod" } },
      spec: { containers: [{ name: "discovery", env }] },
    });
    if (authority !== undefined) {
      const metadata = { namespace: SYSTEM, name: "istio-ca-root-cert" };
      server.put({ apiVersion: "v1", kind: "ConfigMap", metadata, data: { "root-cert.pem": authority.root } });
    }
    return server;
  }

  /** The east-west gateway of a cluster has an address now. */
  program(name: string, address: string): void {
    const server = this.servers.get(name)!;
    const gateway = server.get(GATEWAYS, NAMESPACE, "istio-eastwest")!;
    const conditions = [{ type: "Programmed", status: "True", reason: "Programmed", message: "" }];
    const addresses = [{ type: "IPAddress", value: address }];
    server.put({ ...gateway, status: { conditions, addresses } });
  }

  service(
    cluster: string,
    name: string,
    more: { readonly labels?: object; readonly ports?: readonly object[] } = {},
  ): void {
    const { labels = { "solo.io/service-scope": "global" }, ports = [{ port: 80, name: "http" }] } = more;
    const metadata = { namespace: "shop", name, labels } as KubeObject["metadata"];
    const spec = { clusterIP: "10.96.0.1", clusterIPs: ["10.96.0.1"], ports };
    this.servers.get(cluster)!.put({ apiVersion: "v1", kind: "Service", metadata, spec });
  }

  /** Pods behind a Service of `service`, each with an identity; the last of them not ready. */
  endpoints(cluster: string, name: string, ready: number, notReady = 0): void {
    const server = this.servers.get(cluster)!;
    const service = server.get(SERVICES, "shop", name)!;
    server.put({ ...service, spec: { ...(service["spec"] as object), selector: { app: name } } } as KubeObject);
    for (let at = 0; at < ready + notReady; at += 1) {
      const isReady = at < ready ? "True" : "False";
      server.put({
        ...{ apiVersion: "v1", kind: "Pod" },
        metadata: { namespace: "shop", name: `${name}-${at}`, labels: { app: name } },
        spec: { serviceAccountName: name, nodeName: "n1", containers: [{ name: "app" }] },
        status: {
          phase: "Running",
          podIP: `10.${cluster.length}.${name.length}.${at + 1}`,
          podIPs: [{ ip: `10.${cluster.length}.${name.length}.${at + 1}` }],
          conditions: [{ type: "Ready", status: isReady }],
        },
      });
    }
  }

  /** Runs a command as a user does, while time goes on. */
  async run(make: (tools: LinkTools) => Command, ...words: readonly string[]): Promise<Ran> {
    const open: LinkTools["open"] = async (call) => namedContexts(call).map((context) => this.#access(context));
    return this.#whileTimeGoesOn(run(make({ clock: this.host.clock, open }), ...words));
  }

  /** As `run`, for what a user does meanwhile. */
  runCall(make: (tools: LinkTools) => Command, call: CommandCall): Promise<ExitCode> {
    const open: LinkTools["open"] = async (call) => namedContexts(call).map((context) => this.#access(context));
    return this.#whileTimeGoesOn(make({ clock: this.host.clock, open }).run(call));
  }

  async #whileTimeGoesOn<T>(work: Promise<T>): Promise<T> {
    let done = false;
    const running = work.finally(() => (done = true));
    // Whoever waits hears of it below, at the end of the step of time.
    running.catch(() => {});
    while (!done) await this.host.clock.pass(50);
    return running;
  }

  #access(context: string | undefined): ClusterAccess {
    const [first] = this.servers.keys();
    const server = this.servers.get(context ?? first!);
    if (server === undefined) throw new UsageError(`there is no context ${context}`);
    const api = server.connect("admin");
    return {
      context: context ?? "",
      api,
      page: (_pod: unknown, path: string) =>
        this.page === undefined
          ? Promise.reject(new Error("nobody asks pods here"))
          : Promise.resolve(JSON.stringify(this.page(context ?? first!, path))),
      close: () => api.close(),
    } as unknown as ClusterAccess;
  }

  /** As `POST /api/…`, of what changes something. */
  writes(cluster: string): readonly string[] {
    return this.servers
      .get(cluster)!
      .requests.filter(({ verb, path }) => verb !== "GET" && verb !== "WATCH" && !path.includes("dryRun=All"))
      .map(({ verb, path }) => `${verb} ${path.replace(/\?.*/, "")}`);
  }
}
