/** What is to be looked at, and how strictly. */
export interface CheckOptions {
  /** Clusters that are to be linked, and need not be yet: what is of links is left out (contract peering.md 4.3). */
  readonly precheck: boolean;
  /** How old the token of a remote secret may be, in milliseconds. */
  readonly tokenAgeMaxMs: number;
}

/** 90 days. */
export const TOKEN_AGE_MAX_MS = 90 * 24 * 3_600_000;
