import { isIP } from "node:net";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import type { ClientNode } from "./resource.ts";

const NODE_ID_CHARACTERS_MAX = 1024;
/** `istiod` is a control plane that reads what we share (contract peering.md 2.3). */
const NODE_TYPES = ["ztunnel", "waypoint", "router", "sidecar", "agent", "istiod"] as const;
export type NodeType = (typeof NODE_TYPES)[number];

/** A node id taken apart (contract ztunnel.md 1.5 and 2.2). */
export interface NodeFacts {
  readonly type: NodeType;
  /** As `ztunnel-abc.istio-system`. */
  readonly name: string;
  /** The Kubernetes node it runs on; empty if it does not say. */
  readonly nodeName: string;
}

/** Reads what a client says of itself. @throws MeshError `invalid`, naming the field. */
export function parseNode(node: ClientNode | undefined): NodeFacts {
  const id = node?.id ?? "";
  if (node === undefined || id === "")
    throw new MeshError("invalid", "missing node information: the first request of a stream must carry node.id");
  const shown = printable(id, 128);
  if (id.length > NODE_ID_CHARACTERS_MAX)
    throw new MeshError("invalid", `node.id is longer than ${NODE_ID_CHARACTERS_MAX} characters: ${shown}`);
  if (/[\p{Cc}\p{Cf}]/u.test(id)) throw new MeshError("invalid", `node.id holds control characters: ${shown}`);
  const [type, ip, name, domain, ...rest] = id.split("~");
  if (ip === undefined || name === undefined || domain === undefined || rest.length > 0)
    throw new MeshError("invalid", `node.id "${shown}" must have four parts: <type>~<ip>~<pod>.<namespace>~<domain>`);
  const known = NODE_TYPES.find((candidate) => candidate === type);
  if (known === undefined)
    throw new MeshError("invalid", `node.id "${shown}" has an unknown type; known are ${NODE_TYPES.join(", ")}`);
  if (![...(node.metadata.get("INSTANCE_IPS") ?? "").split(","), ip].some((text) => isIP(text.trim()) !== 0))
    throw new MeshError("invalid", `node "${shown}" has no valid IP, neither in INSTANCE_IPS nor in the second part`);
  return { type: known, name, nodeName: node.metadata.get("NODE_NAME") ?? "" };
}
