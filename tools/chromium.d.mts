/** Launch options of Playwright. */
export const browser: { executablePath: string; args: string[] }
