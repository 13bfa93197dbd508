module.exports = { preset: 'ts-jest', testEnvironment: 'node', rootDir: __dirname, cacheDirectory: `${__dirname}/.cache` }
