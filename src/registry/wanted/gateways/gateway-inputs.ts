import type { GatewaySpire } from "../../../gateway-config.ts";
import type { ClusterId, ObjectKey } from "../../../names.ts";
import type { Collection } from "../../collection/collection.ts";
import type { Objects } from "../../kube/objects.ts";
import type { MeshSettings } from "../../model/mesh.ts";
import type { FoundPart } from "./found-part.ts";
import type { GatewayParameters } from "./gateway-parameters.ts";

/** What is wanted of Gateways follows from these. */
export interface GatewayInputs {
  readonly objects: Objects;
  readonly mesh: MeshSettings;
  /** Only its Gateways are deployed. */
  readonly localCluster: ClusterId;
  /** What is there that is labelled as made for a Gateway; see `partKey`. */
  readonly parts: Collection<string, FoundPart>;
  /** Why a part could not be written, by the same keys. */
  readonly troubles: Collection<string, PartTrouble>;
  /** ConfigMaps that Gateways name, by their keys. */
  readonly parameters: Collection<ObjectKey, GatewayParameters>;
  /** `started` once the first lists of parts are complete. Until then nothing is wanted. */
  readonly phase: Collection<"phase", "started">;
}

export interface PartTrouble {
  readonly kind: "foreign" | "denied" | "refused";
  /** A sentence of the API server; empty for `foreign`. */
  readonly message: string;
}

/** As `Deployment shop/waypoint`. */
export const partKey = (kind: string, namespace: string, name: string): string => `${kind} ${namespace}/${name}`;

/** How all proxies of gateways are deployed. */
export interface GatewaySettings {
  readonly revision: string;
  /** Makes the GatewayClasses that are not there. */
  readonly makesClasses: boolean;
  /** With `causeway`, and stock Envoy. */
  readonly agentImage: string;
  readonly envoyImage: string;
  readonly pullPolicy: "Always" | "IfNotPresent" | "Never" | undefined;
  readonly pullSecrets: readonly string[];
  /** Undefined for one, which anybody may scale. */
  readonly replicas: number | undefined;
  readonly resources: { readonly requests: Quantities; readonly limits: Quantities };
  readonly priorityClass: string | undefined;
  /** The control plane, as `istiod.istio-system.svc:15012`. */
  readonly discoveryAddress: string;
  /** The ConfigMap with the roots. */
  readonly rootConfigMap: string;
  readonly network: string;
  /** How the agents reach SPIRE's; undefined if their identities are not its. */
  readonly spire: GatewaySpire | undefined;
}

export type Quantities = Readonly<Record<string, string>>;
