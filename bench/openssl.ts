import { spawnSync } from "node:child_process";

/** How often a second of one core's time signs and verifies, by `openssl speed`. */
export interface Speed {
  readonly sign: number;
  readonly verify: number;
}

const ROWS = {
  "ec-p256": ["ecdsap256", /ecdsa \(nistp256\)\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)/],
  "rsa-2048": ["rsa2048", /rsa 2048 bits\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)/],
  "rsa-4096": ["rsa4096", /rsa 4096 bits\s+\S+\s+\S+\s+([\d.]+)\s+([\d.]+)/],
} as const;
export type SpeedType = keyof typeof ROWS;

/** Undefined if openssl is not installed. */
export function opensslSpeed(type: SpeedType): Speed | undefined {
  const [algorithm, row] = ROWS[type];
  const { stdout, status } = spawnSync("openssl", ["speed", "-seconds", "2", algorithm], { encoding: "utf8" });
  const found = row.exec(status === 0 ? stdout : "");
  return found === null ? undefined : { sign: Number(found[1]), verify: Number(found[2]) };
}
