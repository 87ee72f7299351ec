import type { CheckName } from "./outcome.ts";

const check = (codes: string, name: string, page: string): CheckName => ({ codes: `CWY${codes}`, name, page });

/** In the order of guide 002 and contract peering.md 4.3, ours after them; names and codes stay for good. */
export const CHECKS = {
  cluster: check("00", "Cluster Check", "cluster"),
  environment: check("01", "Incompatible Environment Variable Check", "environment"),
  features: check("02", "Feature Check", "features"),
  dnsCapture: check("03", "CNI DNS Capture Check", "dns-capture"),
  pods: check("04", "Pod Check", "pods"),
  gateways: check("05", "Gateway Check", "gateways"),
  peers: check("06", "Peers Check", "peers"),
  shared: check("07", "Shared Services Check", "shared-services"),
  certificates: check("08", "Intermediate Certs Compatibility Check", "certificates"),
  networks: check("09", "Network Configuration Check", "networks"),
  staleWorkloads: check("10", "Stale Workloads Check", "stale-workloads"),
  rights: check("11", "Rights Check", "rights"),
  clock: check("12", "Clock Check", "clock"),
  ports: check("13", "Gateway Ports Check", "gateway-ports"),
  orphans: check("14", "Orphans Check", "orphans"),
  versions: check("15", "Versions Check", "versions"),
  remoteSecrets: check("16", "Remote Secrets Check", "remote-secrets"),
  drains: check("17", "Drains Check", "drains"),
} as const satisfies Readonly<Record<string, CheckName>>;

/** The page of the documentation that explains a code, as `checks/peers`; undefined for codes that are not ours. */
export function checkPageOf(code: string): string | undefined {
  const found = Object.values(CHECKS).find(({ codes }) => code.startsWith(codes) && code.length === codes.length + 2);
  return found && `checks/${found.page}`;
}
