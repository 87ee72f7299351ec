import type { Random } from "../host.ts";

/**
 * Up to this share of a life is left out by chance. ztunnels renew at half of it: those that asked at once, as after a
 * restart of all nodes, would else ask at once for ever.
 */
const SPREAD = 0.1;

/** Never longer. */
export const spreadLife = (seconds: number, random: Random): number =>
  Math.floor(seconds * (1 - SPREAD * random.next()));
