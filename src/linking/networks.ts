import type { Finding } from "../inspect/finding.ts";
import { NETWORK_LABEL } from "./gateways.ts";
import { kubectl, nameOf, type Pair, type Side } from "./side.ts";

/** Whether both are on networks of their own, and all of their objects say which (contract peering.md C27). */
export function networkFindings(pair: Pair, flat: boolean): readonly Finding[] {
  const wrong = [...unlabelled(pair.reader), ...unlabelled(pair.peer), ...mismatched(pair.peer)];
  return wrong.length > 0 ? wrong : [shared(pair, flat)];
}

/** Whether a cluster says which network it is on, and its gateway the same. */
export const ownNetworkFindings = (side: Side): readonly Finding[] => [...unlabelled(side), ...mismatched(side)];

const FIELD = `metadata.labels[${NETWORK_LABEL}]`;

function unlabelled(side: Side): readonly Finding[] {
  if (side.network !== undefined) return [];
  const { system, cluster = "<network>" } = side;
  return [
    {
      ...{ code: "CWY3007", level: "error", cluster: side.cluster, object: `Namespace ${system}`, field: FIELD },
      evidence: `Namespace ${system} of ${nameOf(side)} has no label ${NETWORK_LABEL}, so nobody knows on which network its pods are`,
      fix: `${kubectl(side)} label namespace ${system} ${NETWORK_LABEL}=${cluster}`,
    },
  ];
}

function mismatched(side: Side): readonly Finding[] {
  return side.doors.slice(0, 1).flatMap(({ gateway: { id, network } }): readonly Finding[] => {
    if (network === undefined || network === side.network) return [];
    const object = `Gateway ${id.namespace}/${id.name}`;
    return [
      {
        ...{ code: "CWY3008", level: "error", cluster: side.cluster, object, field: FIELD },
        evidence: `${object} of ${nameOf(side)} leads into network ${network}, and namespace ${side.system} says ${side.network}`,
        fix: `${kubectl(side)} -n ${id.namespace} label gateway ${id.name} ${NETWORK_LABEL}=${side.network} --overwrite`,
      },
    ];
  });
}

function shared({ reader, peer }: Pair, flat: boolean): Finding {
  const object = `${nameOf(reader)}, ${nameOf(peer)}`;
  const known = { code: "CWY3009", cluster: undefined, object, field: FIELD };
  const networks = `${reader.cluster} is on network ${reader.network}, ${peer.cluster} on ${peer.network}`;
  if (reader.network !== peer.network) return { ...known, level: "ok", evidence: networks, fix: "" };
  const evidence = `Both clusters are on network ${peer.network}, so each would call pods of the other directly, past its gateway`;
  if (flat) return { ...known, level: "ok", evidence: `${evidence}, as --flat wants it`, fix: "" };
  const fix = `${kubectl(peer)} label namespace ${peer.system} ${NETWORK_LABEL}=${peer.cluster} --overwrite; or, if pods of both do reach each other, link with --flat`;
  return { ...known, level: "error", evidence, fix };
}
