import type { ObjectSink } from "../kube/object.ts";
import { Reflector } from "../kube/reflector.ts";
import * as types from "../kube/resource-types.ts";
import { GATEWAY_LEASE, StatusWriting } from "../kube/status-writing.ts";
import type { WantedObject } from "../kube/wanted-object.ts";
import type { WriteReport } from "../kube/writer.ts";
import type { ObjectKey } from "../names.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { Source } from "../registry/collection/source.ts";
import { printable } from "../printable.ts";
import { foreignClasses } from "../registry/wanted/gateways/wanted-classes.ts";
import { MANAGED, MANAGERS } from "../registry/kube/known-classes.ts";
import type { Problem } from "../registry/model/problem.ts";
import { readPart, type FoundPart } from "../registry/wanted/gateways/found-part.ts";
import { partKey, type PartTrouble } from "../registry/wanted/gateways/gateway-inputs.ts";
import type { GatewayParameters } from "../registry/wanted/gateways/gateway-parameters.ts";
import { parameterRefs, wantedOfGateways, type ParameterRef } from "../registry/wanted/gateways/wanted-of-gateways.ts";
import type { ClusterContext } from "./clusters.ts";
import { FollowedParameters } from "./gateway-parameters.ts";
import type { KubernetesAccess } from "./kubernetes-access.ts";

const LOOK_MS = 5_000;
const REQUIRED = [types.SERVICE_ACCOUNTS, types.SERVICES, types.DEPLOYMENTS];
/** Without the right to these, Gateways that ask for none do well. */
const OPTIONAL = [types.AUTOSCALERS, types.DISRUPTION_BUDGETS];

/**
 * Deploys waypoints and east-west gateways: it sees what there is of them, and writes what is wanted. Of Deployments and
 * their like only those are read that are labelled as a gateway's.
 */
export class GatewayController implements ObjectSink {
  readonly #context: ClusterContext;
  readonly #parts: Source<string, FoundPart>;
  readonly #troubles: Source<string, PartTrouble>;
  readonly #phase: Source<"phase", "started">;
  readonly #reflectors: readonly { readonly required: boolean; readonly reflector: Reflector }[];
  readonly #parameters: FollowedParameters;
  readonly #refs: Collection<ObjectKey, ParameterRef>;
  readonly #writing: StatusWriting;
  /** Of Gateways that name our revision: to be written with all else that is ours. */
  readonly ours: Collection<string, WantedObject>;
  #timer: Disposable | undefined;

  /** Before the graph's first flush. */
  constructor(context: ClusterContext, access: KubernetesAccess) {
    const { host, config, graph, registry } = context;
    const { clusterId: cluster } = config;
    this.#context = context;
    this.#parts = new Source(graph, "gateway-parts-found");
    this.#troubles = new Source(graph, "gateway-part-troubles");
    this.#phase = new Source(graph, "gateway-controller");
    const parameters = new Source<ObjectKey, GatewayParameters>(graph, "gateway-parameters");
    const { objects, mesh, localCluster } = registry.statusInputs;
    const [parts, troubles, phase] = [this.#parts, this.#troubles, this.#phase];
    const inputs = { objects, mesh, localCluster, parts, troubles, phase, parameters };
    const { revision, systemNamespace, rootConfigMap, network } = config;
    const service = revision === "default" ? "istiod" : `istiod-${revision}`;
    const discoveryAddress = config.gateways.discoveryAddress ?? `${service}.${systemNamespace}.svc:15012`;
    const wanted = wantedOfGateways(graph, inputs, {
      ...config.gateways,
      discoveryAddress,
      revision,
      rootConfigMap,
      network,
    });
    this.ours = wanted.ours;
    for (const collection of [wanted.anybodys, wanted.ours])
      collection.observe((batch) => {
        for (const { key, after } of batch) if (after === undefined) this.#troubles.delete(key);
      });
    this.#refs = parameterRefs(graph, inputs);
    this.#parameters = new FollowedParameters(host, access, cluster, parameters);
    const labelSelector = `${MANAGED} in (${Object.values(MANAGERS).join(",")})`;
    const onSynced = (): void => this.#look();
    this.#reflectors = [...REQUIRED, ...OPTIONAL].map((type) => {
      const options = {
        cluster,
        type,
        labelSelector,
        purpose: "waypoints and east-west gateways, and how they are deployed",
        sink: this,
        onSynced,
      };
      return { required: REQUIRED.includes(type), reflector: new Reflector(host, access.api, access.gate, options) };
    });
    const onWrite = (report: WriteReport): void => this.note(report);
    this.#writing = new StatusWriting(host, access.api, {
      wanted: wanted.anybodys,
      lease: GATEWAY_LEASE,
      onWrite,
      ...config,
    });
  }

  start(): void {
    for (const { reflector } of this.#reflectors) reflector.start();
    this.#parameters.start(this.#refs);
    this.#writing.start();
    this.#lookLater();
  }

  /** How a write of ours went: what keeps a part from being as it is wanted shows at its Gateway. */
  note({ key, wanted, outcome, error }: WriteReport): void {
    if (wanted.guard === undefined) return;
    if (outcome === "written") this.#troubles.delete(key);
    if (outcome === "foreign" || outcome === "denied" || outcome === "refused")
      this.#troubles.set(key, { kind: outcome, message: error?.message ?? "" });
  }

  set(object: Parameters<ObjectSink["set"]>[0]): void {
    const { namespace = "", name } = object.metadata;
    this.#parts.set(partKey(object.kind, namespace, name), readPart(object));
  }

  delete({ kind, metadata: { namespace = "", name } }: Parameters<ObjectSink["delete"]>[0]): void {
    this.#parts.delete(partKey(kind, namespace, name));
  }

  problems(): readonly Problem[] {
    const { config, registry } = this.#context;
    const forbidden = this.#reflectors.some(({ reflector }) => reflector.state.phase === "forbidden");
    const waits = forbidden && this.#phase.get("phase") === undefined;
    return [
      ...(waits ? [problem(`cluster ${config.clusterId}`, UNREADABLE)] : []),
      ...foreignClasses(registry.objects.gatewayClasses, config.clusterId).map(({ name, controllerName }) =>
        problem(
          `GatewayClass ${name}`,
          `Its spec.controllerName is "${printable(controllerName, 120)}", so Gateways of it are left to that controller; delete it to have ours.`,
        ),
      ),
    ];
  }

  async close(): Promise<void> {
    this.#timer?.[Symbol.dispose]();
    await this.#writing.close();
    await this.#parameters.close();
    await Promise.all(this.#reflectors.map(({ reflector }) => reflector.close()));
  }

  /** Only once all that is there is known, it is known what is wanted. */
  #look(): void {
    const waits = this.#reflectors.some(
      ({ required, reflector: { state } }) => !state.synced && (required || state.phase !== "forbidden"),
    );
    if (!waits) this.#phase.set("phase", "started");
  }

  /** A kind that may not be read says so to nobody. */
  #lookLater(): void {
    this.#timer = this.#context.host.clock.after(LOOK_MS, () => {
      this.#look();
      if (this.#phase.get("phase") === undefined) this.#lookLater();
    });
  }
}

const UNREADABLE =
  "Gateways are not deployed, since what they consist of may not be read; grant what deploy/rbac/gateways.yaml does, or turn --gateway-controller off.";

const problem = (object: string, message: string): Problem => ({
  ...{ object, message, origin: "", field: "" },
  severity: "warning",
});
