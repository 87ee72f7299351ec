import { createHash } from "node:crypto";
import { fingerprintOf } from "../ca/issued-list.ts";
import type { Bound, IntermediateShape, Order } from "../relay/messages.ts";
import type { EffectivePolicy, RegisteredCluster } from "./policy.ts";
import type { RootStance } from "./rotation/rotation.ts";

export interface OrderFacts {
  readonly policy: EffectivePolicy;
  readonly registered: RegisteredCluster;
  readonly stance: RootStance;
  readonly bounds: readonly Bound[] | undefined;
}

/** What a cluster is told; the same facts give the same generation, in every process. */
export function orderOf({ policy, registered, stance, bounds }: OrderFacts): Order {
  const order = {
    trustDomain: registered.trustDomain,
    intermediate: shapeOf(policy, registered),
    roots: [...stance.roots].sort(Buffer.compare),
    signingRoot: stance.signingRoot,
    autoRestartPods: policy.autoRestartPods,
    bounds,
  };
  return { generation: generationOf(order), ...order };
}

/** How the intermediate of a cluster is to be (contract identity.md 4.2, R4). */
export const shapeOf = ({ intermediate }: EffectivePolicy, { cluster }: RegisteredCluster): IntermediateShape => ({
  organization: bounded(intermediate.organization),
  commonName: bounded(`Intermediate CA ${cluster}`),
  pathLength: intermediate.pathLength,
  lifetimeMs: intermediate.lifetimeMs,
  keyType: intermediate.keyType,
  graceRatio: intermediate.graceRatio,
});

function generationOf(order: Omit<Order, "generation">): string {
  const plain = { ...order, roots: order.roots.map(fingerprintOf) };
  return createHash("sha256").update(JSON.stringify(plain)).digest("hex").slice(0, 16);
}

/** RFC 5280, appendix A: the longest organization and common name. */
const bounded = (name: string): string => [...name].slice(0, 64).join("");
