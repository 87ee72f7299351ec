import { type Environment, type Options, UsageError } from "../command.ts";
import { commaListOf, given, type Given, matching, refuse, type Setting, setting } from "../settings.ts";
import { socketOf } from "../spire-config.ts";

export const GATEWAY_SPIRE_SETTINGS = {
  agent: setting("--spire-agent <socket>", "our identity is SPIRE's: its Workload API", "SPIFFE_ENDPOINT_SOCKET"),
  admin: setting("--spire-admin-socket <socket>", "likewise, as a delegate of its agent", "SPIRE_ADMIN_SOCKET"),
  selectors: setting(
    "--spire-selectors <list>",
    "whom a delegate asks for: our pod's by default, or envoy for its process",
    "SPIRE_SELECTORS",
  ),
  podUid: { variable: "POD_UID" },
} as const satisfies Readonly<Record<string, Setting>>;

interface SpireAgentSocket {
  readonly socket: string;
  /** Ours, which every identity is held to. */
  readonly serviceAccount: string;
}

/** The Workload API: SPIRE's agent attests us. */
interface WorkloadSource extends SpireAgentSocket {
  readonly api: "workload";
}

/** The DelegatedIdentity API: it attests Envoy's process, or believes us which selectors we have. */
interface DelegatedSource extends SpireAgentSocket {
  readonly api: "delegated";
  readonly asks: readonly string[] | "envoy";
}

/** Where our identity comes from, if from SPIRE. */
export type SpireSource = WorkloadSource | DelegatedSource;

export interface OwnPod {
  readonly namespace: string;
  readonly pod: string;
  readonly serviceAccount: string | undefined;
}

const SELECTOR = /^[^\s:]+:[^\0]+$/;
const SELECTORS_RIGHT = "give selectors with their types, as k8s:ns:shop,k8s:sa:waypoint, or envoy";

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadSpireSource(own: OwnPod, options: Options, environment: Environment): SpireSource | undefined {
  const read = (name: keyof typeof GATEWAY_SPIRE_SETTINGS): Given | undefined =>
    given(GATEWAY_SPIRE_SETTINGS[name], options, environment);
  const [agent, admin, selectors, uid] = [read("agent"), read("admin"), read("selectors"), read("podUid")];
  if (admin === undefined && selectors !== undefined)
    return refuse(selectors, "only a delegate names selectors: give --spire-admin-socket (SPIRE_ADMIN_SOCKET) too");
  if (agent !== undefined && admin !== undefined)
    throw new UsageError(
      `${agent.from} and ${admin.from} both say who gives us our identity: give the one or the other`,
    );
  if (agent === undefined && admin === undefined) return undefined;
  const { serviceAccount } = own;
  if (serviceAccount === undefined)
    throw new UsageError(
      "--service-account is missing: an identity of SPIRE's is held to it; give it, or set SERVICE_ACCOUNT",
    );
  if (agent !== undefined) return { api: "workload", socket: socketOf(agent), serviceAccount };
  const asks = selectors === undefined ? selectorsOf({ ...own, serviceAccount }, uid) : asked(selectors);
  return { api: "delegated", socket: socketOf(admin!), serviceAccount, asks };
}

function selectorsOf({ namespace, pod, serviceAccount }: OwnPod, uid: Given | undefined): readonly string[] {
  const known = [`k8s:ns:${namespace}`, `k8s:sa:${serviceAccount}`, `k8s:pod-name:${pod}`];
  if (uid !== undefined) known.push(`k8s:pod-uid:${matching(uid, /^[\w-]{1,64}$/, "give the UID of our pod")}`);
  return known;
}

function asked(value: Given): readonly string[] | "envoy" {
  if (value.text === "envoy") return "envoy";
  const list = commaListOf(value);
  return list.length > 0 && list.every((text) => SELECTOR.test(text)) ? list : refuse(value, SELECTORS_RIGHT);
}
