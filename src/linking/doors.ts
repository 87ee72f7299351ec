import type { Finding } from "../inspect/finding.ts";
import { type FoundGateway, nameOf, type Side } from "./side.ts";

/** What makes the way into a cluster. */
export const exposeCommand = ({ context }: Pick<Side, "context">): string =>
  `causeway multicluster expose${context === "" ? "" : ` --context ${context}`}`;

/** Of those of which nothing says the ID. */
export const namelessFindings = (sides: readonly Side[]): readonly Finding[] =>
  sides
    .filter(({ cluster }) => cluster === undefined)
    .map((side): Finding => ({
      code: "CWY3001",
      level: "error",
      cluster: undefined,
      object: nameOf(side),
      field: "CLUSTER_ID",
      evidence: `Nothing says the cluster ID of ${nameOf(side)}: neither the pods labelled app=istiod in namespace ${side.system}, nor a label of that namespace, nor its east-west gateway`,
      fix: `${exposeCommand(side)} --cluster <its CLUSTER_ID>`,
    }));

/** What of its east-west gateway keeps others from reaching a cluster. */
export function doorFindings(peer: Side, door: FoundGateway | undefined): readonly Finding[] {
  const error = (code: string, object: string, field: string, evidence: string): Finding => ({
    ...{ code, level: "error", cluster: peer.cluster, object, field, evidence },
    fix: exposeCommand(peer),
  });
  if (door === undefined)
    return [error("CWY3003", nameOf(peer), "", `${nameOf(peer)} has no east-west gateway, so it cannot be reached`)];
  const { id, listeners, exposedIstiod } = door.gateway;
  const object = `Gateway ${id.namespace}/${id.name}`;
  const xds = listeners.find(({ protocol }) => protocol === "TLS");
  if (xds === undefined || exposedIstiod !== xds.port) {
    const says = exposedIstiod === undefined ? "has no label istio.io/expose-istiod" : `exposes port ${exposedIstiod}`;
    const listens = xds === undefined ? "no listener of protocol TLS" : `a listener of protocol TLS on ${xds.port}`;
    const evidence = `${object} of ${nameOf(peer)} ${says} and has ${listens}, so nothing leads to its control plane`;
    return [error("CWY3004", object, "metadata.labels[istio.io/expose-istiod]", evidence)];
  }
  if (listeners.some(({ protocol }) => protocol === "HBONE")) return [];
  return [error("CWY3004", object, "spec.listeners", `${object} of ${nameOf(peer)} has no listener of protocol HBONE`)];
}

/** @param lack what follows the name of the gateway in a sentence. */
export function pendingFinding(peer: Side, { gateway: { id } }: FoundGateway, lack: string): Finding {
  const object = `Gateway ${id.namespace}/${id.name}`;
  return {
    code: "CWY3005",
    level: "error",
    cluster: peer.cluster,
    object,
    field: "status.addresses",
    evidence: `${object} of ${nameOf(peer)} ${lack}`,
    fix: `wait for it with --wait; or say where it is with --address ${peer.context || "<context>"}=<host>[:<port>]`,
  };
}
