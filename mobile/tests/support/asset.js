// What Metro makes of an asset: a number.
module.exports = 1;
