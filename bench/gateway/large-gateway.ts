import { derOf } from "../../test/kits/tls.ts";
import { object, service, testMesh } from "../../test/registry/mesh.ts";
import { waypoint, waypointService } from "../../test/registry/gateways/gateway-mesh.ts";
import { callerOf, EAST } from "../../test/xds/envoy/proxy-lab.ts";
import { onLoopback } from "../../test/conformance/paths-lab.ts";
import { GrpcServer } from "../../src/grpc/server.ts";
import type { Host } from "../../src/host.ts";
import type { KubeObject } from "../../src/kube/object.ts";
import { objectKey } from "../../src/names.ts";
import { derive } from "../../src/registry/collection/derive.ts";
import { Source } from "../../src/registry/collection/source.ts";
import { proxyConfigs } from "../../src/registry/gateways/proxy-configs.ts";
import { GatewayAdmission } from "../../src/xds/envoy/gateway-admission.ts";
import { type GatewayLogs, type ProxyLogs, proxyLogs } from "../../src/xds/envoy/proxy-logs.ts";
import { proxyResources } from "../../src/xds/envoy/proxy-resources.ts";
import type { TrustedDomain } from "../../src/xds/envoy/trust-secrets.ts";
import { XdsServer } from "../../src/xds/server.ts";

export const SERVICES = 1_000;
export const ROUTES = 5_000;

/** One waypoint of many services and HTTPRoutes, from its objects to what its Envoys are told. */
export class LargeGateway {
  readonly key = objectKey(EAST, "shop", "w");
  readonly xds: XdsServer;
  readonly admission: GatewayAdmission;
  readonly #host: Host;
  readonly #mesh = testMesh();
  readonly #logs: ProxyLogs;
  #encoded = 0;

  constructor(host: Host, root: string) {
    this.#host = host;
    const { graph, registry } = this.#mesh;
    const trust = new Source<string, TrustedDomain>(graph, "trust");
    const configs = proxyConfigs(graph, registry.gatewayInputs);
    const controlPlane = { host: "istiod.istio-system.svc", port: 15012, serverNames: ["istiod"] };
    const { resources } = proxyResources(graph, configs, { trust, controlPlane });
    const listeners = derive(graph, {
      name: "on-loopback",
      distinct: true,
      from: resources.listeners,
      reads: {},
      to: (resource, _reads, key) => [[key, onLoopback(resource)] as const],
    });
    graph.onSettled(() => {
      this.#encoded = Object.values(resources).reduce((count, { batch }) => count + batch.length, 0);
    });
    this.#logs = proxyLogs(graph, configs.gateways, { ...resources, listeners }, (changed) =>
      this.admission.changed(changed),
    );
    this.admission = new GatewayAdmission(host, EAST, this.#logs, () => undefined);
    const page = () => Promise.resolve(new Uint8Array());
    this.xds = new XdsServer(host, {
      logs: new Map(),
      debug: { systemNamespace: "istio-system", page },
      controlPlane: "{}",
    });
    trust.set("cluster.local", { trustDomain: "cluster.local", roots: [derOf(root)] });
  }

  get logs(): GatewayLogs {
    return this.#logs.of(this.key)!;
  }
  /** Resources that were encoded to something else in the last flush. */
  get encoded(): number {
    return this.#encoded;
  }

  /** All of its objects at once. */
  build(serviceCount = SERVICES, routeCount = ROUTES): void {
    const services = Array.from({ length: serviceCount }, (_, at) => serviceAt(at));
    const routes = Array.from({ length: routeCount }, (_, at) => routeAt(at, 0));
    this.#mesh.apply(waypoint(), waypointService, ...services, ...routes);
  }

  changeRoute(at: number, revision: number): void {
    this.#mesh.apply(routeAt(at, revision));
  }

  get answered(): boolean {
    const subscriptions = this.xds.clients().flatMap((client) => client.subscriptions);
    return subscriptions.every(({ backlog, sentNonce, ackedNonce }) => backlog === 0 && sentNonce === ackedNonce);
  }

  async listen(): Promise<{ readonly port: number; readonly server: GrpcServer }> {
    const authenticator = { authenticate: () => Promise.resolve(callerOf("shop", "w")) };
    const methods = this.xds.methods({ authenticator, whyNot: () => "no", gateways: this.admission });
    const server = new GrpcServer(this.#host, { name: "bench", methods, certificate: undefined });
    return { server, port: (await server.listen({ address: "127.0.0.1", port: 0 })).port };
  }
}

const serviceAt = (at: number): KubeObject =>
  service(
    `checkout-${at}`,
    `10.96.${at >> 8}.${at & 255}`,
    { ports: [{ name: "http", port: 80, appProtocol: "http" }] },
    { labels: { "istio.io/use-waypoint": "w" } },
  );

/** One of those of its service; by a header that no other has. */
const routeAt = (at: number, revision: number): KubeObject =>
  object(
    "gateway.networking.k8s.io/v1",
    "HTTPRoute",
    { name: `route-${at}` },
    {
      spec: {
        parentRefs: [{ group: "", kind: "Service", name: `checkout-${at % SERVICES}`, port: 80 }],
        rules: [
          {
            matches: [
              {
                path: { type: "PathPrefix", value: `/part-${at}` },
                headers: [{ name: "x-revision", value: `v${revision}` }],
              },
            ],
            backendRefs: [{ name: `checkout-${(at + 1) % SERVICES}`, port: 80, weight: 90 }],
          },
        ],
      },
    },
  );
