// The browser in which pages are tested: Debian's Chromium, or what the variable CHROMIUM names. It runs as root in
// containers, and looks for nothing on the internet.
export const browser = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ],
}
