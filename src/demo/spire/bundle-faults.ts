import type { Maker } from "../../ca/intermediate.ts";
import { newSpireAuthority } from "./authorities.ts";
import type { Faults } from "./faults.ts";
import type { HeldBundle } from "./trust.ts";

const DAY_MS = 86_400_000;
const HOUR_SECONDS = 3_600;

/** A bundle with what is wrong with it at the moment. */
export async function faultyBundle(
  maker: Maker,
  { bundle: fault, bundleOf }: Faults,
  own: HeldBundle,
): Promise<HeldBundle> {
  return { ...own, trustDomain: bundleOf ?? own.trustDomain, roots: await rootsOf(maker, fault, own) };
}

async function rootsOf(maker: Maker, fault: Faults["bundle"], own: HeldBundle): Promise<readonly Uint8Array[]> {
  if (fault === "empty") return [];
  if (fault === "no-certificates") return [Buffer.from("no certificate")];
  if (fault === undefined) return own.roots;
  const { clock, random } = maker;
  const yesterday = { clock: { ...clock, now: () => clock.now() - DAY_MS }, random };
  const shape = { trustDomain: own.trustDomain, ttlSeconds: HOUR_SECONDS };
  return [(await newSpireAuthority(yesterday, shape, undefined, undefined)).certificate];
}
