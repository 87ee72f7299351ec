import type { KubeObject } from "../../kube/object.ts";
import { DAEMON_SETS, NAMESPACES, PODS } from "../../kube/resource-types.ts";
import { type ClusterFacts, objectsOf, pageOf, whyHidden } from "../cluster-facts.ts";
import { isZtunnelPod, variableOf } from "../mesh-pods.ts";
import { CHECKS } from "./checks.ts";
import {
  eastWestGateways,
  fieldsOf,
  labelOf,
  leadsTo,
  namespaceOf,
  NETWORK_LABEL,
  networkOf,
  objectName,
  placeOf,
  remoteGateways,
  specOf,
  systemNamespaces,
  textOf,
} from "./mesh-parts.ts";
import { kubectl, labelled, permitted } from "./fixes.ts";
import { CheckNotes, type Outcome } from "./outcome.ts";
import { daemonSetWord, planeVariable } from "./plane-fixes.ts";

/** Whether all say the same of which cluster is on which network, and no two that are apart are on one. */
export function networksCheck(mesh: readonly ClusterFacts[]): Outcome {
  const notes = new CheckNotes(CHECKS.networks);
  for (const facts of mesh) ownNetwork(notes, facts);
  for (const facts of mesh) for (const gateway of remoteGateways(facts)) remoteNetwork(notes, facts, gateway, mesh);
  sharedNetworks(notes, mesh);
  return notes.outcome("all network configurations are valid", undefined);
}

function ownNetwork(notes: CheckNotes, facts: ClusterFacts): void {
  const hidden = whyHidden(facts, NAMESPACES);
  if (hidden !== undefined)
    return notes.warn("08", facts.cluster, {
      ...{ object: "namespaces", field: `metadata.labels[${NETWORK_LABEL}]` },
      evidence: `the network of cluster ${facts.cluster} is not known: ${hidden}`,
      fix: permitted(facts, "namespaces"),
    });
  const network = networkOf(facts);
  const unlabelled = systemNamespaces(facts).filter(
    (name) => (namespaceOf(facts, name)?.metadata.labels?.[NETWORK_LABEL] ?? "") === "",
  );
  for (const name of unlabelled)
    notes.error("01", facts.cluster, {
      ...{ object: `Namespace ${name}`, field: `metadata.labels[${NETWORK_LABEL}]` },
      evidence: `cluster ${facts.cluster} has no network: namespace ${name} has no label ${NETWORK_LABEL}`,
      fix: namespaceLabelled(facts, name, network ?? facts.cluster),
    });
  if (network === undefined) return;
  if (unlabelled.length === 0) notes.line(`Cluster ${facts.cluster} has network: ${network}`, "ok");
  for (const gateway of eastWestGateways(facts)) gatewayLabel(notes, facts, gateway, network);
  ztunnelNetwork(notes, facts, network);
  const running = textOf(fieldsOf(pageOf(facts, "configz"))["network"]);
  if (running !== "" && running !== network)
    notes.error("07", facts.cluster, {
      ...{ object: "configz", field: "network" },
      evidence: `the control plane of ${facts.cluster} is on network ${running}, and its namespace says ${network}`,
      fix: planeVariable(facts, "NETWORK", network),
    });
}

/** One that nobody wrote down is there nevertheless. */
function namespaceLabelled(facts: ClusterFacts, name: string, network: string): string {
  const object = namespaceOf(facts, name) ?? { apiVersion: "v1", kind: "Namespace", metadata: { name } };
  return labelled(facts, object, NETWORK_LABEL, network);
}

function gatewayLabel(notes: CheckNotes, facts: ClusterFacts, gateway: KubeObject, network: string): void {
  const said = labelOf(gateway, NETWORK_LABEL);
  const place = placeOf(gateway);
  if (said === network) return notes.line(`Eastwest gateway ${place} has correct network label: ${network}`, "ok");
  notes.error("02", facts.cluster, {
    ...{ object: objectName(gateway), field: `metadata.labels[${NETWORK_LABEL}]` },
    evidence: `eastwest gateway ${place} has network label ${JSON.stringify(said)}, and cluster ${facts.cluster} is on ${network}`,
    fix: labelled(facts, gateway, NETWORK_LABEL, network),
  });
}

/** One that says nothing is on the network that the control plane says. */
function ztunnelNetwork(notes: CheckNotes, facts: ClusterFacts, network: string): void {
  const sets = objectsOf(facts, DAEMON_SETS).filter(
    (set) => set.metadata.name === "ztunnel" || labelOf(set, "app") === "ztunnel",
  );
  const specs = sets.map((set) => ({ object: set, spec: fieldsOf(specOf(set)["template"])["spec"] }));
  const pods = objectsOf(facts, PODS)
    .filter(isZtunnelPod)
    .map((pod) => ({ object: pod, spec: pod["spec"] }));
  const wrong = [...specs, ...pods].find(({ spec }) => ![undefined, "", network].includes(variableOf(spec, "NETWORK")));
  if (wrong === undefined) return;
  const { namespace } = wrong.object.metadata;
  notes.error("05", facts.cluster, {
    ...{ object: objectName(wrong.object), field: "NETWORK" },
    evidence: `ztunnel of ${facts.cluster} has NETWORK=${variableOf(wrong.spec, "NETWORK")}, and the cluster is on ${network}`,
    fix: `${kubectl(facts)} -n ${namespace} set env ${daemonSetWord(wrong.object, "ztunnel")} NETWORK=${network}`,
  });
}

function remoteNetwork(
  notes: CheckNotes,
  facts: ClusterFacts,
  gateway: KubeObject,
  mesh: readonly ClusterFacts[],
): void {
  const said = labelOf(gateway, NETWORK_LABEL);
  const { namespace, name } = gateway.metadata;
  const problem = { object: objectName(gateway), field: `metadata.labels[${NETWORK_LABEL}]` };
  const to = leadsTo(gateway);
  const actual = mesh.filter(({ cluster }) => cluster === to).map(networkOf)[0];
  if (said === "")
    return notes.error("06", facts.cluster, {
      ...problem,
      evidence: `remote gateway ${namespace}/${name} has no label ${NETWORK_LABEL}`,
      fix: labelled(facts, gateway, NETWORK_LABEL, actual ?? "<network>"),
    });
  if (actual !== undefined && actual !== said)
    return notes.error("04", facts.cluster, {
      ...problem,
      evidence: `remote gateway ${namespace}/${name} references network ${said}, and cluster ${to} is on ${actual}`,
      fix: labelled(facts, gateway, NETWORK_LABEL, actual),
    });
  notes.line(
    `Remote gateway ${namespace}/${name} references network ${said} (clusters: [${clustersOn(said, mesh, to).join(", ")}])`,
    "ok",
  );
}

function clustersOn(network: string, mesh: readonly ClusterFacts[], to: string): readonly string[] {
  const known = mesh.filter((facts) => networkOf(facts) === network).map(({ cluster }) => cluster);
  return known.length > 0 ? known : [to];
}

/** Clusters on one network reach each other's pods directly: where that is turned off, it is a mistake. */
function sharedNetworks(notes: CheckNotes, mesh: readonly ClusterFacts[]): void {
  for (const [at, facts] of mesh.entries()) {
    const network = networkOf(facts);
    const before = mesh.slice(0, at).find((other) => network !== undefined && networkOf(other) === network);
    if (before === undefined) continue;
    const off = [facts, before].find((each) => flatPeering(each) === "off");
    const both = `clusters ${before.cluster} and ${facts.cluster} are on one network, ${network}`;
    if (off === undefined) notes.line(`${both}: their pods are to reach each other directly`, "info");
    else
      notes.error("03", facts.cluster, {
        ...{ object: `Namespace ${systemNamespaces(facts)[0]}`, field: `metadata.labels[${NETWORK_LABEL}]` },
        evidence: `${both}, and ${off.cluster} does not peer on flat networks`,
        fix: namespaceLabelled(facts, systemNamespaces(facts)[0]!, facts.cluster),
      });
  }
}

export const flatPeering = (facts: ClusterFacts): string =>
  textOf(fieldsOf(fieldsOf(pageOf(facts, "configz"))["peering"])["flatPeering"]) || "auto";
