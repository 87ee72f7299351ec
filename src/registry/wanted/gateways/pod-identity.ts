import { posix } from "node:path";
import type { GatewaySpire } from "../../../gateway-config.ts";
import type { Fields } from "../../kube/fields.ts";

const TOKEN_SECONDS = 43_200;
const WORKLOAD_DIR = "/run/spire/agent-sockets";
const WORKLOAD_SOCKET = "spire-agent.sock";
const ADMIN_DIR = "/run/spire/admin";
/** SPIRE's agent runs as root, and lets nobody but its own group to its admin socket (contract identity.md 1.1). */
const AGENT_GROUP = 0;

/** What the agent of a gateway needs in its pod to get an identity, from the mesh's own CA or else from SPIRE. */
export interface PodIdentity {
  readonly volume: Fields;
  readonly mount: Fields;
  readonly environment: readonly Fields[];
  readonly supplementalGroups: readonly number[];
}

/** Who has its identity from SPIRE gets no token: nothing could make it ask the CA. */
export function podIdentity(spire: GatewaySpire | undefined): PodIdentity {
  if (spire === undefined) return tokenOfOurs();
  if (typeof spire === "object" && "adminSocket" in spire) return delegate(spire.adminSocket);
  const source =
    spire === "csi"
      ? { csi: { driver: "csi.spiffe.io", readOnly: true } }
      : { hostPath: { path: spire.hostPath, type: "Directory" } };
  return {
    volume: { name: "spire", ...source },
    mount: { name: "spire", mountPath: WORKLOAD_DIR, readOnly: true },
    environment: [{ name: "SPIFFE_ENDPOINT_SOCKET", value: `unix://${WORKLOAD_DIR}/${WORKLOAD_SOCKET}` }],
    supplementalGroups: [],
  };
}

function tokenOfOurs(): PodIdentity {
  const token = { audience: "istio-ca", expirationSeconds: TOKEN_SECONDS, path: "istio-token" };
  return {
    volume: { name: "istio-token", projected: { sources: [{ serviceAccountToken: token }] } },
    mount: { name: "istio-token", mountPath: "/var/run/secrets/tokens", readOnly: true },
    environment: [],
    supplementalGroups: [],
  };
}

/** Its own pod is what it asks for, by the selectors that entries of SPIRE's controller have. */
function delegate(socket: string): PodIdentity {
  return {
    volume: { name: "spire", hostPath: { path: posix.dirname(socket), type: "Directory" } },
    mount: { name: "spire", mountPath: ADMIN_DIR, readOnly: true },
    environment: [
      { name: "POD_UID", valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
      { name: "SPIRE_ADMIN_SOCKET", value: `unix://${ADMIN_DIR}/${posix.basename(socket)}` },
    ],
    supplementalGroups: [AGENT_GROUP],
  };
}
